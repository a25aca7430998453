"""What a load's traces mean, in the words of docs/metrics.md."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from inferflux.bench.errors import BenchFailed
from inferflux.bench.serving.load import Trace


class Percentiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a time, in seconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Percentiles | None:
        """None where there is nothing to rank."""
        values = list(seconds)
        if not values:
            return None
        return cls(*(float(f"{value:.4g}") for value in np.percentile(values, (50, 95, 99))))


class Slo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request must keep to count as good; seconds."""

    ttft: float = 1.0
    tpot: float = 0.05


class LoadFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One load on one door.  Exactly one of ``clients`` and ``rate`` says which."""

    door: str
    requests: int
    refused: int
    seconds: float  # from the first arrival to the last message
    throughput: float  # output tokens per second
    answered: float  # requests per second
    goodput: float  # requests per second that kept the SLO
    slo: Slo
    clients: int | None = None  # of a closed loop
    rate: float | None = None  # requests per second of an open loop
    ttft: Percentiles | None = None
    tpot: Percentiles | None = None
    itl: Percentiles | None = None

    @property
    def load(self) -> str:
        """As people say it."""
        if self.rate is not None:
            return f"{self.rate:g} requests/s"
        return f"{self.clients} client{'' if self.clients == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The times of one answered request."""

    ttft: float
    tpot: float | None  # None: it had one token
    itl: tuple[float, ...]

    @classmethod
    def of(cls, trace: Trace) -> Answer:
        times = [when for when, _ in trace.messages]
        after_first = trace.num_tokens - trace.messages[0][1]
        tpot = (times[-1] - times[0]) / after_first if after_first else None
        itl = tuple(later - earlier for earlier, later in itertools.pairwise(times))
        return cls(times[0] - trace.due, tpot, itl)

    def keeps(self, slo: Slo) -> bool:
        return self.ttft <= slo.ttft and (self.tpot is None or self.tpot <= slo.tpot)


def summarise(
    traces: Sequence[Trace],
    door: str,
    slo: Slo,
    *,
    clients: int | None = None,
    rate: float | None = None,
) -> LoadFigure:
    """Put the traces of one load into figures.  Raises BenchFailed where nothing was answered."""
    answered = [trace for trace in traces if trace.messages]
    if not answered:
        raise BenchFailed(f"none of {len(traces)} requests over {door} was answered")
    start = min(trace.due for trace in traces)
    seconds = max(trace.messages[-1][0] for trace in answered) - start
    answers = [Answer.of(trace) for trace in answered]
    return LoadFigure(
        door=door,
        requests=len(traces),
        refused=sum(trace.is_refused for trace in traces),
        seconds=round(seconds, 3),
        throughput=round(sum(trace.num_tokens for trace in answered) / seconds, 1),
        answered=round(len(answered) / seconds, 3),
        goodput=round(sum(answer.keeps(slo) for answer in answers) / seconds, 3),
        slo=slo,
        clients=clients,
        rate=rate,
        ttft=Percentiles.of(answer.ttft for answer in answers),
        tpot=Percentiles.of(answer.tpot for answer in answers if answer.tpot is not None),
        itl=Percentiles.of(gap for answer in answers for gap in answer.itl),
    )

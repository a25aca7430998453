"""Measuring a server: streams at once beside the offline figure, then closed and open loops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import msgspec

from inferflux.bench.errors import BenchFailed
from inferflux.bench.figures import Figure
from inferflux.bench.measures import Decode
from inferflux.bench.protocol import random_prompt
from inferflux.bench.serving import load
from inferflux.bench.serving.door import Door
from inferflux.bench.serving.load import Asked
from inferflux.bench.serving.server import Addresses
from inferflux.bench.serving.summary import LoadFigure, Slo, summarise

_TRIES = 5  # of a round in which a stream came to its end before all others decoded

OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class ServingWorkload:
    """What to ask of a server."""

    streams: tuple[Decode, ...] = ()  # all at once, as offline
    clients: tuple[int, ...] = (1, 4, 16)  # closed loops
    rates: tuple[float, ...] = (1.0, 2.0, 4.0)  # open loops, requests per second
    requests: int = 64  # of each loop
    prompt_tokens: int = 128
    output_tokens: int = 64
    slo: Slo = field(default_factory=Slo)
    rounds: int = 3

    @property
    def most_at_once(self) -> int:
        """Sequences that a closed loop or a measure of streams runs together."""
        return max((*self.clients, *(decode.streams for decode in self.streams)), default=1)


class StreamsFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Streams decoded at once over a door, beside the same ones offline."""

    door: str
    measure: Decode
    speed: Figure  # tok/s
    share: float | None = None  # of the offline median, where that was measured


class ServingResults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All loads on all doors."""

    prompt_tokens: int
    output_tokens: int
    streams: list[StreamsFigure] = []
    loads: list[LoadFigure] = []


@dataclass(slots=True)
class ServingBench:
    """Puts a workload on doors."""

    workload: ServingWorkload
    vocab_size: int
    chunk_tokens: int
    offline: Mapping[str, float]  # our medians by key, tok/s
    on_progress: OnProgress
    keep: Callable[[ServingResults], None]
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    async def run(self, doors: Sequence[Door]) -> None:
        """Every load on every door, one after the other; after each all figures are kept."""
        asked = self.workload
        found = ServingResults(asked.prompt_tokens, asked.output_tokens)
        for door in doors:
            await self._warm(door)
            for decode in asked.streams:
                self.on_progress(f"{door.name}: {decode.streams} streams", 0.0)
                found.streams.append(await self._streams(door, decode))
                self.keep(found)
            for clients in asked.clients:
                self.on_progress(f"{door.name}: {clients} clients", 0.0)
                found.loads.append(await self._closed(door, clients))
                self.keep(found)
            for rate in asked.rates:
                self.on_progress(f"{door.name}: {rate:g} requests/s", 0.0)
                found.loads.append(await self._open(door, rate))
                self.keep(found)

    async def _warm(self, door: Door) -> None:
        await load.at_once(door, self._requests(2))

    async def _streams(self, door: Door, decode: Decode) -> StreamsFigure:
        runs = [await self._streams_once(door, decode) for _ in range(self.workload.rounds)]
        speed = Figure.of(runs)
        offline = self.offline.get(decode.key)
        share = round(speed.median / offline, 3) if offline else None
        return StreamsFigure(door.name, decode, speed, share)

    async def _streams_once(self, door: Door, decode: Decode) -> float:
        max_tokens = decode.max_tokens(self.chunk_tokens)
        for _ in range(_TRIES):
            asked = [Asked(self._prompt(decode.depth), max_tokens) for _ in range(decode.streams)]
            speed = load.decoding_together(await load.at_once(door, asked))
            if speed is not None:
                return speed
        raise BenchFailed(
            f"{_TRIES} times not all of {decode.streams} streams over {door.name} decoded at once:"
            " the model ends its texts early, or the server runs fewer sequences"
        )

    async def _closed(self, door: Door, clients: int) -> LoadFigure:
        traces = await load.closed_loop(door, self._requests(self.workload.requests), clients)
        return summarise(traces, door.name, self.workload.slo, clients=clients)

    async def _open(self, door: Door, rate: float) -> LoadFigure:
        arrivals = load.poisson_arrivals(rate, self.workload.requests, seed=0)
        traces = await load.open_loop(door, self._requests(self.workload.requests), arrivals)
        return summarise(traces, door.name, self.workload.slo, rate=rate)

    def _requests(self, count: int) -> list[Asked]:
        asked = self.workload
        return [Asked(self._prompt(asked.prompt_tokens), asked.output_tokens) for _ in range(count)]

    def _prompt(self, num_tokens: int) -> list[int]:
        return random_prompt(self._random, self.vocab_size, num_tokens)


def run_serving(bench: ServingBench, addresses: Addresses) -> None:
    """Measure the server at ``addresses``."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            doors = addresses.doors()
            for door in doors:
                stack.push_async_callback(door.close)
            await bench.run(doors)

    try:
        asyncio.run(run())
    except ExceptionGroup as group:  # of a task group: the first failure ended the others
        raise group.exceptions[0] from group
    except OSError as error:
        raise BenchFailed(f"the server does not answer: {error}") from error

"""The measuring protocol, the same for every engine: fresh random tokens, greedy, medians.

``prefill_N`` is one prompt of N tokens with one row of logits.  ``decode_xB`` is B distinct
streams, each ``depth`` tokens deep; timed are only steps that give every stream a token.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from inferflux.engine.messages import FinishReason, Request, SamplingParams, TokenOutput
from inferflux.errors import InferFluxError

PREFILL_REPEATS = 5
DECODE_REPEATS = 3
_MARGIN = 100  # token ids at both ends of a vocabulary are special; random prompts avoid them

Clock = Callable[[], float]


class BenchFailed(InferFluxError):
    """The engine did not do the work that a figure would have claimed."""

    code = "bench_failed"


class SteppingEngine(Protocol):
    """What is measured: an engine that runs in this process, a step at a time."""

    def add(self, request: Request) -> None: ...

    def abort(self, request_id: str) -> None: ...

    def step(self) -> list[TokenOutput]: ...


@dataclass(frozen=True, slots=True)
class Workload:
    """What to measure."""

    prefill: tuple[int, ...] = (32, 128, 512)
    streams: tuple[int, ...] = (1, 4, 8, 16, 32)
    depth: int = 128
    steps: int = 64

    def max_tokens(self, streams: int, chunk_tokens: int) -> int:
        """Tokens a stream may make: in the timed steps, and while others still prefill."""
        prefill_share = max(1, chunk_tokens - streams)  # of a step in which the others decode
        return self.steps + streams + math.ceil(streams * self.depth / prefill_share) + 2

    def kv_tokens(self, chunk_tokens: int) -> int:
        """Tokens of KV that the largest measure holds at once."""
        decode = (b * (self.depth + self.max_tokens(b, chunk_tokens)) for b in self.streams)
        return max((*decode, *(n + 1 for n in self.prefill)), default=1)


@dataclass(slots=True)
class Bench:
    """Runs a workload on an engine."""

    engine: SteppingEngine
    vocab_size: int
    chunk_tokens: int
    clock: Clock = time.perf_counter
    _random: random.Random = field(default_factory=lambda: random.Random(0))
    _num_requests: int = 0

    def measure(self, workload: Workload, on_key: Callable[[str], None]) -> dict[str, float]:
        """Tokens per second by key; ``on_key`` hears what is being measured."""
        speeds: dict[str, float] = {}
        for n in workload.prefill:
            on_key(f"prefill_{n}")
            speeds[f"prefill_{n}"] = _median(partial(self.prefill, n), PREFILL_REPEATS)
        for b in workload.streams:
            on_key(f"decode_x{b}")
            speeds[f"decode_x{b}"] = _median(partial(self.decode, b, workload), DECODE_REPEATS)
        return speeds

    def prefill(self, num_tokens: int) -> float:
        """Tokens per second of one prompt, from its arrival to its first token."""
        start = self.clock()
        request = self._add(num_tokens, max_tokens=1)
        self._step_until_started({request})
        return num_tokens / (self.clock() - start)

    def decode(self, streams: int, workload: Workload) -> float:
        """Tokens per second of all streams together, once every one of them decodes."""
        max_tokens = workload.max_tokens(streams, self.chunk_tokens)
        requests = {self._add(workload.depth, max_tokens) for _ in range(streams)}
        self._step_until_started(requests)
        start = self.clock()
        made = [self.engine.step() for _ in range(workload.steps)]
        seconds = self.clock() - start
        for request in requests:
            self.engine.abort(request)
        self.engine.step()  # pages of the aborted streams are back before the next measure
        for outputs in made:
            _require_a_token_each(outputs, requests)
        return workload.steps * streams / seconds

    def _add(self, num_tokens: int, max_tokens: int) -> str:
        """Add a request of fresh random tokens, so that nothing can have been seen before."""
        self._num_requests += 1
        request_id = f"bench-{self._num_requests}"
        margin = min(_MARGIN, self.vocab_size // 4)
        tokens = range(margin, self.vocab_size - margin)
        prompt = self._random.choices(tokens, k=num_tokens)
        self.engine.add(Request(request_id, prompt, max_tokens, SamplingParams(temperature=0.0)))
        return request_id

    def _step_until_started(self, requests: set[str]) -> None:
        """Step until every request has a token."""
        waiting = set(requests)
        while waiting:
            for output in self.engine.step():
                _require_sound(output)
                if output.tokens:
                    waiting.discard(output.request_id)


def _median(measure: Callable[[], float], repeats: int) -> float:
    measure()  # warm: pages touched, code mapped
    return round(statistics.median(measure() for _ in range(repeats)), 1)


def _require_a_token_each(outputs: Sequence[TokenOutput], requests: set[str]) -> None:
    counts = {output.request_id: len(output.tokens) for output in outputs}
    if counts != dict.fromkeys(requests, 1):
        raise BenchFailed(
            f"a decode step gave tokens to {len(counts)} of {len(requests)} streams: {counts}"
        )


def _require_sound(output: TokenOutput) -> None:
    if output.finish_reason in (FinishReason.ERROR, FinishReason.ABORT):
        raise BenchFailed(f"the engine ended {output.request_id}: {output.error or 'aborted'}")

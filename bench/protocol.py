"""The measuring protocol on an engine of this process: fresh random tokens, greedy, timed steps."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from inferflux.bench.errors import BenchFailed
from inferflux.bench.measures import Decode, Measure, Prefill
from inferflux.engine.messages import FinishReason, Request, SamplingParams, TokenOutput

_MARGIN = 100  # token ids at both ends of a vocabulary are special; random prompts avoid them

Clock = Callable[[], float]


class SteppingEngine(Protocol):
    """What is measured: an engine that runs in this process, a step at a time."""

    def add(self, request: Request) -> None: ...

    def abort(self, request_id: str) -> None: ...

    def step(self) -> list[TokenOutput]: ...


def random_prompt(source: random.Random, vocab_size: int, num_tokens: int) -> list[int]:
    """Token ids that are none of the special ones."""
    margin = min(_MARGIN, vocab_size // 4)
    return source.choices(range(margin, vocab_size - margin), k=num_tokens)


@dataclass(slots=True)
class Bench:
    """Runs measures on an engine."""

    engine: SteppingEngine
    vocab_size: int
    chunk_tokens: int
    clock: Clock = time.perf_counter
    _random: random.Random = field(default_factory=lambda: random.Random(0))
    _num_requests: int = 0

    def run(self, measure: Measure) -> float:
        """Tokens per second of one run."""
        match measure:
            case Prefill(num_tokens):
                return self._prefill(num_tokens)
            case Decode():
                return self._decode(measure)

    def _prefill(self, num_tokens: int) -> float:
        """Of one prompt, from its arrival to its first token."""
        start = self.clock()
        request = self._add(num_tokens, max_tokens=1)
        self._step_until_started({request})
        return num_tokens / (self.clock() - start)

    def _decode(self, measure: Decode) -> float:
        """Of all streams together, once every one of them decodes."""
        max_tokens = measure.max_tokens(self.chunk_tokens)
        requests = {self._add(measure.depth, max_tokens) for _ in range(measure.streams)}
        self._step_until_started(requests)
        start = self.clock()
        made = [self.engine.step() for _ in range(measure.steps)]
        seconds = self.clock() - start
        for request in requests:
            self.engine.abort(request)
        self.engine.step()  # pages of the aborted streams are back before the next run
        for outputs in made:
            _require_a_token_each(outputs, requests)
        return measure.steps * measure.streams / seconds

    def _add(self, num_tokens: int, max_tokens: int) -> str:
        """Add a request of fresh random tokens, so that nothing can have been seen before."""
        self._num_requests += 1
        request_id = f"bench-{self._num_requests}"
        prompt = random_prompt(self._random, self.vocab_size, num_tokens)
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


def _require_a_token_each(outputs: Sequence[TokenOutput], requests: set[str]) -> None:
    counts = {output.request_id: len(output.tokens) for output in outputs}
    if counts != dict.fromkeys(requests, 1):
        raise BenchFailed(
            f"a decode step gave tokens to {len(counts)} of {len(requests)} streams: {counts}"
        )


def _require_sound(output: TokenOutput) -> None:
    if output.finish_reason in (FinishReason.ERROR, FinishReason.ABORT):
        raise BenchFailed(f"the engine ended {output.request_id}: {output.error or 'aborted'}")

"""The measuring protocol, on an engine that does no arithmetic and a clock that only it moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from inferflux.bench.errors import BenchFailed
from inferflux.bench.measures import Decode, Prefill
from inferflux.bench.protocol import Bench
from inferflux.engine.messages import FinishReason, Request, TokenOutput

CHUNK = 64
STEP_SECONDS = 0.5


@dataclass
class CountingEngine:
    """Prefills CHUNK prompt tokens a step, in order of arrival; other sequences decode."""

    now: float = 0.0
    prompts: list[list[int]] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)  # prompt tokens that are not computed yet
    budget: dict[str, int] = field(default_factory=dict)  # output tokens that may still come
    loses_a_stream: bool = False

    def add(self, request: Request) -> None:
        self.prompts.append(request.prompt)
        self.left[request.request_id] = len(request.prompt)
        self.budget[request.request_id] = request.max_tokens

    def abort(self, request_id: str) -> None:
        self.left.pop(request_id, None)
        self.budget.pop(request_id, None)

    def step(self) -> list[TokenOutput]:
        self.now += STEP_SECONDS
        room = CHUNK
        for request_id, left in self.left.items():
            taken = min(room, left)
            room -= taken
            self.left[request_id] = left - taken
        ready = [request_id for request_id, left in self.left.items() if left == 0]
        if self.loses_a_stream and len(ready) > 1 and self.now > 10:
            ready.pop()
        return [self._token(request_id) for request_id in ready]

    def _token(self, request_id: str) -> TokenOutput:
        self.budget[request_id] -= 1
        finished = self.budget[request_id] == 0
        if finished:
            self.abort(request_id)
        return TokenOutput(request_id, [7], finish_reason=FinishReason.LENGTH if finished else None)


def bench(engine: CountingEngine) -> Bench:
    return Bench(engine, vocab_size=1000, chunk_tokens=CHUNK, clock=lambda: engine.now)


def test_prefill_counts_prompt_tokens_until_the_first_token() -> None:
    assert bench(CountingEngine()).run(Prefill(128)) == 128 / (2 * STEP_SECONDS)


@pytest.mark.parametrize("streams", [1, 4])
def test_decode_counts_every_stream_and_no_prefill_step(streams: int) -> None:
    measure = Decode(streams, depth=100, steps=8)
    assert bench(CountingEngine()).run(measure) == streams / STEP_SECONDS


def test_no_prompt_is_ever_seen_twice() -> None:
    engine = CountingEngine()
    measuring = bench(engine)
    for measure in (Prefill(32), Prefill(32), Decode(4, 32, 4), Decode(4, 32, 4)):
        measuring.run(measure)
    assert len(engine.prompts) == 2 + 8
    assert len(set(map(tuple, engine.prompts))) == len(engine.prompts)


def test_prompts_hold_no_special_tokens() -> None:
    engine = CountingEngine()
    bench(engine).run(Prefill(5000))
    assert min(engine.prompts[0]) == 100
    assert max(engine.prompts[0]) == 899


def test_a_step_that_leaves_a_stream_without_a_token_is_not_measured() -> None:
    with pytest.raises(BenchFailed, match="3 of 4 streams"):
        bench(CountingEngine(loses_a_stream=True)).run(Decode(4, 16, 40))


def test_nothing_stays_in_the_engine_after_a_run() -> None:
    engine = CountingEngine()
    bench(engine).run(Decode(4, 16, 4))
    assert engine.left == {}


def test_a_stream_may_make_all_tokens_that_a_run_needs() -> None:
    """One that ran out while others prefill would be missing from the timed steps."""
    measure = Decode(16, depth=100, steps=4)
    bench(CountingEngine()).run(measure)
    assert measure.longest(CHUNK) == 100 + measure.max_tokens(CHUNK)

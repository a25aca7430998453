"""The measuring protocol, on an engine that does no arithmetic and a clock that only it moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from inferflux.bench.protocol import DECODE_REPEATS, PREFILL_REPEATS, Bench, BenchFailed, Workload
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


def measure(engine: CountingEngine, workload: Workload) -> dict[str, float]:
    bench = Bench(engine, vocab_size=1000, chunk_tokens=CHUNK, clock=lambda: engine.now)
    return bench.measure(workload, on_key=lambda key: None)


def test_prefill_counts_prompt_tokens_until_the_first_token() -> None:
    speeds = measure(CountingEngine(), Workload(prefill=(128,), streams=()))
    assert speeds == {"prefill_128": 128 / (2 * STEP_SECONDS)}


def test_decode_counts_every_stream_and_no_prefill_step() -> None:
    workload = Workload(prefill=(), streams=(1, 4), depth=100, steps=8)
    assert measure(CountingEngine(), workload) == {
        "decode_x1": 1 / STEP_SECONDS,
        "decode_x4": 4 / STEP_SECONDS,
    }


def test_no_prompt_is_ever_seen_twice() -> None:
    engine = CountingEngine()
    measure(engine, Workload(prefill=(32,), streams=(4,), depth=32, steps=4))
    assert len(engine.prompts) == PREFILL_REPEATS + 1 + 4 * (DECODE_REPEATS + 1)
    assert len(set(map(tuple, engine.prompts))) == len(engine.prompts)


def test_a_step_that_leaves_a_stream_without_a_token_is_not_measured() -> None:
    engine = CountingEngine(loses_a_stream=True)
    with pytest.raises(BenchFailed, match="3 of 4 streams"):
        measure(engine, Workload(prefill=(), streams=(4,), depth=16, steps=40))


def test_nothing_stays_in_the_engine_after_a_measure() -> None:
    engine = CountingEngine()
    measure(engine, Workload(prefill=(32,), streams=(4,), depth=16, steps=4))
    assert engine.left == {}


def test_kv_room_covers_what_streams_make_while_others_prefill() -> None:
    engine = CountingEngine()
    workload = Workload(prefill=(), streams=(16,), depth=100, steps=4)
    measure(engine, workload)  # a stream that ran out would be missing from the timed steps
    per_stream = workload.depth + workload.max_tokens(16, CHUNK)
    assert workload.kv_tokens(CHUNK) == 16 * per_stream

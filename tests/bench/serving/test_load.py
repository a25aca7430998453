"""Loads on a door that takes a known time, under a clock that only sleeping moves."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from inferflux.bench.serving.door import Message, Refused
from inferflux.bench.serving.load import (
    Asked,
    Trace,
    at_once,
    closed_loop,
    decoding_together,
    open_loop,
    poisson_arrivals,
)

Run = Callable[[Any], Any]
FIRST, NEXT = 0.5, 0.1  # seconds until the first token, and between tokens


@dataclass
class TimedDoor:
    """Answers each request alone: FIRST seconds, then a token every NEXT."""

    name: str = "timed"
    room: int = 1000
    running: int = 0
    most: int = 0
    starts: list[float] = field(default_factory=list)

    async def generate(
        self, prompt: Sequence[int], max_tokens: int
    ) -> AsyncGenerator[Message, None]:
        if self.running >= self.room:
            raise Refused("no room")
        self.starts.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for index in range(max_tokens):
                await asyncio.sleep(NEXT if index else FIRST)
                yield Message(1)
        finally:
            self.running -= 1

    async def close(self) -> None:
        pass


def asked(count: int, max_tokens: int = 3) -> list[Asked]:
    return [Asked([1, 2], max_tokens)] * count


def test_arrivals_are_the_same_for_a_seed_and_of_the_rate_on_average() -> None:
    assert poisson_arrivals(2.0, 50, seed=1) == poisson_arrivals(2.0, 50, seed=1)
    assert poisson_arrivals(2.0, 50, seed=1) != poisson_arrivals(2.0, 50, seed=2)
    times = poisson_arrivals(4.0, 20_000, seed=3)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert statistics.mean(gaps) == pytest.approx(0.25, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.25, rel=0.03)  # as an exponential's


def test_an_open_loop_sends_each_request_at_its_time_whatever_is_unanswered(
    run_virtually: Run,
) -> None:
    door = TimedDoor()
    traces = run_virtually(open_loop(door, asked(3), [0.1, 0.2, 5.0]))
    assert door.starts == pytest.approx([0.1, 0.2, 5.0])
    assert [trace.due for trace in traces] == pytest.approx([0.1, 0.2, 5.0])
    assert door.most == 2


def test_a_closed_loop_never_has_more_requests_open_than_clients(run_virtually: Run) -> None:
    door = TimedDoor()
    traces = run_virtually(closed_loop(door, asked(7), clients=3))
    assert door.most == 3
    assert [trace.num_tokens for trace in traces] == [3] * 7
    assert sorted(door.starts) == pytest.approx([0, 0, 0, 0.7, 0.7, 0.7, 1.4])


def test_a_trace_holds_when_each_message_came(run_virtually: Run) -> None:
    (trace,) = run_virtually(at_once(TimedDoor(), asked(1)))
    assert [when for when, _ in trace.messages] == pytest.approx([0.5, 0.6, 0.7])


def test_a_refused_request_is_counted_and_ends_nothing(run_virtually: Run) -> None:
    traces = run_virtually(at_once(TimedDoor(room=2), asked(3)))
    assert [trace.is_refused for trace in traces] == [False, False, True]
    assert traces[2].messages == []


def test_late_tokens_belong_to_the_last_message() -> None:
    trace = Trace(due=0.0)
    trace.add(Message(1), 1.0)
    trace.add(Message(2, is_late=True), 9.0)
    assert trace.messages == [(1.0, 3)]


def test_only_the_time_in_which_all_streams_decode_is_counted() -> None:
    early = Trace(0.0, [(1.0, 1), (2.0, 1), (3.0, 1), (4.0, 1)])
    late = Trace(0.0, [(2.0, 1), (3.0, 1), (4.0, 1), (9.0, 1)])
    assert decoding_together([early, late]) == 4 / 2.0  # tokens at 3 and 4 of both, from 2 to 4


def test_streams_that_never_decoded_together_have_no_speed() -> None:
    first, second = Trace(0.0, [(1.0, 1), (2.0, 1)]), Trace(0.0, [(3.0, 1), (4.0, 1)])
    assert decoding_together([first, second]) is None
    assert decoding_together([first, Trace(0.0, [(1.0, 1)])]) is None

"""Load: requests that arrive by themselves, that follow each other, or that all come at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

from inferflux.bench.serving.door import Door, Message, Refused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client sends."""

    prompt: Sequence[int]
    max_tokens: int


@dataclass(slots=True)
class Trace:
    """What became of one request; times are the event loop's, in seconds."""

    due: float  # when it should be sent: a client that is late must not make the server look fast
    messages: list[tuple[float, int]] = field(default_factory=list)  # when, and how many tokens
    is_refused: bool = False

    def add(self, message: Message, when: float) -> None:
        if message.is_late and self.messages:
            when, earlier = self.messages.pop()
            self.messages.append((when, earlier + message.num_tokens))
        else:
            self.messages.append((when, message.num_tokens))

    @property
    def num_tokens(self) -> int:
        return sum(tokens for _, tokens in self.messages)


def poisson_arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Times of ``count`` arrivals, ``rate`` a second on average, each independent of the others."""
    source = random.Random(seed)
    times, now = [], 0.0
    for _ in range(count):
        now += source.expovariate(rate)
        times.append(now)
    return times


async def open_loop(
    door: Door, requests: Sequence[Asked], arrivals: Sequence[float]
) -> list[Trace]:
    """Send each request at its time, whether or not the earlier ones are answered."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at_its_time(asked: Asked, arrival: float) -> Trace:
        due = start + arrival
        await asyncio.sleep(due - loop.time())
        return await ask(door, asked, due)

    return await _gather(at_its_time(*pair) for pair in zip(requests, arrivals, strict=True))


async def closed_loop(door: Door, requests: Sequence[Asked], clients: int) -> list[Trace]:
    """Each of ``clients`` sends its next request once its last one is answered."""
    left = iter(requests)

    async def client() -> list[Trace]:
        return [await ask(door, asked, asyncio.get_running_loop().time()) for asked in left]

    return [trace for traces in await _gather(client() for _ in range(clients)) for trace in traces]


async def at_once(door: Door, requests: Sequence[Asked]) -> list[Trace]:
    """Send all requests in the same moment."""
    now = asyncio.get_running_loop().time()
    return await _gather(ask(door, asked, now) for asked in requests)


async def ask(door: Door, asked: Asked, due: float) -> Trace:
    """Send one request and write down what comes, and when."""
    loop = asyncio.get_running_loop()
    trace = Trace(due)
    try:
        async with aclosing(door.generate(asked.prompt, asked.max_tokens)) as messages:
            async for message in messages:
                trace.add(message, loop.time())
    except Refused:
        trace.is_refused = True
    return trace


def decoding_together(traces: Sequence[Trace]) -> float | None:
    """Tokens per second in the time in which every stream decodes; None if there is none."""
    if any(len(trace.messages) < 2 for trace in traces):
        return None
    start = max(trace.messages[0][0] for trace in traces)
    end = min(trace.messages[-1][0] for trace in traces)
    tokens = sum(count for when, count in _all_messages(traces) if start < when <= end)
    return tokens / (end - start) if end > start and tokens else None


def _all_messages(traces: Iterable[Trace]) -> Iterator[tuple[float, int]]:
    for trace in traces:
        yield from trace.messages


async def _gather(coroutines: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """The results of all, in order.  The first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in tasks]

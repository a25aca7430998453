"""Several streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


async def merge(streams: Sequence[AsyncIterator[_T]]) -> AsyncGenerator[_T, None]:
    """The items of all streams, each as it comes; at most one item of each is held."""
    if len(streams) == 1:  # nearly every call, and a task per item would cost more than the item
        async for item in streams[0]:
            yield item
        return
    waiting = {_next(stream): stream for stream in streams}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                stream = waiting.pop(task)
                following = task.result()
                if following is not None:
                    waiting[_next(stream)] = stream
                    yield following
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _next(stream: AsyncIterator[_T]) -> asyncio.Future[_T | None]:
    """The stream's next item to come, or None at its end."""
    return asyncio.ensure_future(anext(stream, None))

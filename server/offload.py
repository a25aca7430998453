"""Work that would stall the event loop runs in a few threads beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from inferflux.server.limits import LIMITS

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Offload:
    """A bounded pool of threads.  What waits for it is bounded by the requests in flight."""

    def __init__(self, num_threads: int = LIMITS.tokenizer_threads) -> None:
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="inferflux-text")

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run ``function`` in a thread."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def run_if_large(
        self, size: int, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Run ``function`` in a thread if its input of ``size`` bytes takes the loop's time."""
        if size <= LIMITS.off_loop_bytes:
            return function(*args, **kwargs)
        return await self.run(function, *args, **kwargs)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

"""Streams: one request's outputs each, cut out of the frames that carry those of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from inferflux.engine.errors import QueueFull, RequestRejected, error_of
from inferflux.engine.messages import FinishReason, Request, TokenOutput
from inferflux.errors import InferFluxError


class RequestStream:
    """An asynchronous iterator over one request's outputs.

    It ends after the output with a finish reason, or raises why the request failed. Closing it
    earlier aborts the request.
    """

    def __init__(self, request: Request, leave: Callable[[str], None]) -> None:
        self.request_id = request.request_id
        self._leave = leave
        self._is_over = False
        # A step gives a request at most one output, and every step computes one token at least;
        # the last places are for the error of an engine that dies and for being closed. So
        # put_nowait never fails, and a consumer that reads slowly, or not at all, holds up nobody.
        bound = len(request.prompt) + request.max_tokens + 3
        self._items: asyncio.Queue[TokenOutput | InferFluxError | None] = asyncio.Queue(bound)

    def put(self, item: TokenOutput | InferFluxError) -> None:
        self._items.put_nowait(item)

    def __aiter__(self) -> RequestStream:
        return self

    async def __anext__(self) -> TokenOutput:
        if self._is_over:
            raise StopAsyncIteration
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, InferFluxError):
            self._is_over = True
            raise item
        self._is_over = item.finish_reason is not None
        if item.finish_reason is FinishReason.ERROR:
            raise error_of(item.error_code, item.error)
        return item

    async def aclose(self) -> None:
        """Abort what is not finished.  The engine frees its pages before its next step."""
        if not self._is_over:
            self._is_over = True
            self._items.put_nowait(None)  # for a task that waits for the next output
            self._leave(self.request_id)


class StreamTable:
    """The requests an engine holds for one client, by id.

    One that was closed early stays until the engine has ended it: its id and its place are taken.
    """

    def __init__(self) -> None:
        self._open: dict[str, RequestStream] = {}
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def open(self, request: Request, max_open: int, leave: Callable[[str], None]) -> RequestStream:
        """A stream for a new request.  Raises QueueFull, RequestRejected."""
        if request.request_id in self._open:
            raise RequestRejected(f"request id {request.request_id!r} is in use: make ids unique")
        if len(self._open) >= max_open:
            raise QueueFull(f"{max_open} requests are open: try again later")
        stream = self._open[request.request_id] = RequestStream(request, leave)
        self._is_idle.clear()
        return stream

    def deliver(self, outputs: Iterable[TokenOutput]) -> None:
        """Hand every output to its stream.  One for no stream is late and means nothing."""
        for output in outputs:
            stream = self._open.get(output.request_id)
            if stream is None:
                continue
            stream.put(output)
            if output.finish_reason is not None:
                del self._open[output.request_id]
        if not self._open:
            self._is_idle.set()

    def fail(self, error: InferFluxError) -> None:
        """End every open stream with an error."""
        for stream in self._open.values():
            stream.put(error)
        self._open.clear()
        self._is_idle.set()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._open

    async def wait_idle(self, timeout: float) -> bool:
        """Until no request is open; False if ``timeout`` seconds were not enough."""
        try:
            async with asyncio.timeout(timeout):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True

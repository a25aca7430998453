"""What clients of an engine share, wherever it runs: open streams, gauges, readiness."""

from __future__ import annotations

from abc import ABC, abstractmethod

from inferflux.engine.admission import check_request
from inferflux.engine.errors import EngineFailed
from inferflux.engine.messages import (
    Abort,
    Command,
    Downward,
    EngineStats,
    Hello,
    Request,
    StepFrame,
)
from inferflux.engine.streams import RequestStream, StreamTable


class StreamingClient(ABC):
    """Cuts an engine's frames into streams.  All of it runs on one event loop."""

    def __init__(self, max_open: int) -> None:
        self._max_open = max_open
        self._streams = StreamTable()
        self._hello: Hello | None = None
        self._stats = EngineStats(num_running=0, num_waiting=0, free_pages=0, total_pages=0)
        self._down: str | None = "the engine has not started"  # why it is; None: it is up
        self._is_draining = False

    @property
    def hello(self) -> Hello:
        """What the engine said of itself when it came up last."""
        if self._hello is None:
            raise EngineFailed(f"{self._down}: start it first")
        return self._hello

    @property
    def stats(self) -> EngineStats:
        return self._stats

    @property
    def is_ready(self) -> bool:
        return self._down is None and not self._is_draining

    def submit(self, request: Request) -> RequestStream:
        """Start a request.  Raises at once what can be known here; the stream raises the rest."""
        if not self.is_ready:
            raise EngineFailed(f"{self._down or 'the engine is draining'}: try again later")
        check_request(request, self.hello.context_length)
        stream = self._streams.open(request, self._max_open, self._leave)
        self._send(request)
        return stream

    def abort(self, request_id: str) -> None:
        """End a request.  Its stream ends with ``abort``."""
        self._send(Abort(request_id))

    async def drain(self, timeout: float) -> bool:
        """Refuse new requests and wait for the open ones; False if some are still open."""
        self._is_draining = True
        self._send(Command("drain"))
        return await self._streams.wait_idle(timeout)

    @abstractmethod
    async def close(self) -> None:
        """Stop the engine.  Requests that are still open fail."""

    @abstractmethod
    def _send(self, message: Downward) -> None:
        """Hand a message to the engine, without waiting.  One that is down needs none."""

    def _come_up(self, hello: Hello) -> None:
        self._hello = hello
        self._stats = hello.stats
        self._down = None

    def _go_down(self, reason: str) -> None:
        """End every open request: its tokens are lost, the request may be sent again."""
        self._down = reason
        self._streams.fail(EngineFailed(reason))

    def _receive(self, frame: StepFrame) -> None:
        self._stats = frame.stats
        self._streams.deliver(frame.outputs)

    def _leave(self, request_id: str) -> None:
        """The consumer of a stream is gone: the engine shall not work for nobody."""
        if request_id in self._streams:
            self.abort(request_id)

"""EngineProcess: the client of an engine in its own process, restarted when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from inferflux.engine.child import Child, ChildEnded, begin
from inferflux.engine.config import EngineConfig
from inferflux.engine.errors import EngineFailed, FrameError
from inferflux.engine.launch import DEFAULT_LOADER, Launched, launch
from inferflux.engine.messages import PROTOCOL_VERSION, Downward, Failure, Hello, StepFrame
from inferflux.engine.streaming_client import StreamingClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between restarts: doubling, and back to the first after a life of ``sound``."""

    first: float = 0.1
    most: float = 10.0
    sound: float = 60.0

    def next(self, delay: float | None, lived: float) -> float:
        """How long to wait after ``delay`` was waited and the engine then ``lived`` so long."""
        if delay is None or lived >= self.sound:
            return self.first
        return min(2 * delay, self.most)


class EngineProcess(StreamingClient):
    """An engine in a process of its own.  A dead one ends its requests with EngineFailed.

    Requests are not sent again by themselves: some of their tokens may have been seen already.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        loader: str = DEFAULT_LOADER,
        launched: Launched | None = None,  # the first process, where it was started in advance
        backoff: Backoff | None = None,
        grace: float = 5.0,
    ) -> None:
        super().__init__(config.max_open)
        self._config = config
        self._loader = loader
        self._launched = launched
        self._backoff = backoff or Backoff()
        self._grace = grace  # seconds from asking the process to end to killing it
        self._child: Child | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def process_id(self) -> int | None:
        """Of the engine that is up or coming up."""
        return self._child.process.pid if self._child else None

    async def start(self) -> Hello:
        """Start the process and wait until its model is warm.  Raises why it cannot be."""
        assert self._supervisor is None, "an engine process starts once"
        came_up = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(came_up), name="engine supervisor")
        self._supervisor.add_done_callback(lambda _: came_up.cancel())  # closed while it came up
        await came_up
        return self.hello

    async def close(self) -> None:
        """End the process, by force after the time of grace.  Open requests fail."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        self._go_down("the engine is closed")

    def _send(self, message: Downward) -> None:
        if self._child is not None:
            self._child.send(message)

    async def _supervise(self, came_up: asyncio.Future[None]) -> None:
        """Serve one child after the other, each until it dies.

        An engine that fails before it ever was up has a cause that another start would not cure.
        """
        clock = asyncio.get_running_loop().time
        delay: float | None = None
        while True:
            born = clock()
            reason = await self._live(came_up)
            if not came_up.done():
                came_up.set_exception(EngineFailed(reason))
                return
            delay = self._backoff.next(delay, clock() - born)
            log.warning("%s; it starts again in %.1f s", reason, delay)
            await asyncio.sleep(delay)

    async def _live(self, came_up: asyncio.Future[None]) -> str:
        """One life of an engine process; gives the reason of its end."""
        try:
            launched, self._launched = self._launched or launch(self._loader), None
            child = self._child = await begin(launched, self._config)
        except OSError as error:
            return f"no process can be started: {error}"
        reason = "the engine is closed"
        try:
            reason = await self._serve(child, came_up)
        finally:
            self._child = None
            self._go_down(reason)
            status = await child.stop(self._grace)
        return f"{reason} (exit status {status})"

    async def _serve(self, child: Child, came_up: asyncio.Future[None]) -> str:
        """Read a child's frames until it can send no more; gives the reason."""
        try:
            while True:
                match await child.receive():
                    case StepFrame() as frame:
                        self._receive(frame)
                    case Hello(protocol=protocol) if protocol != PROTOCOL_VERSION:
                        return f"the engine speaks protocol {protocol}, not {PROTOCOL_VERSION}"
                    case Hello() as hello:
                        self._come_up(hello)
                        _settle(came_up)
                    case Failure(_, message):
                        return f"the engine failed: {message}"
        except ChildEnded:
            return "the engine process died"
        except FrameError as error:
            return str(error)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

"""InProcessClient: the client of an engine in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from inferflux.engine.engine import Engine
from inferflux.engine.loop import run
from inferflux.engine.messages import Command, Downward
from inferflux.engine.streaming_client import StreamingClient

log = logging.getLogger(__name__)

Item = TypeVar("Item")


class InProcessClient(StreamingClient):
    """Runs an engine in a thread of this process.  For tests and the Python API.

    A server uses EngineProcess: Python's lock makes steps wait for whatever else this process does.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.max_open)
        self._engine = engine
        self._inbox = _ThreadInbox()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._come_up(engine.hello())
        self._thread.start()

    async def close(self) -> None:
        """Stop the thread after its current step.  Requests that are still open fail."""
        self._send(Command("shutdown"))
        await asyncio.to_thread(self._thread.join)
        self._go_down("the engine is closed")

    def _send(self, message: Downward) -> None:
        self._loop = asyncio.get_running_loop()  # where its frames are wanted
        self._inbox.put(message)

    def _run(self) -> None:
        try:
            run(self._engine, self._inbox, lambda frame: self._call(self._receive, frame))
        except Exception as error:  # the thread is the boundary that a process would be
            log.exception("the engine ends")
            self._call(self._go_down, f"the engine failed: {error}")

    def _call(self, function: Callable[[Item], None], item: Item) -> None:
        """Call ``function`` on the event loop, if that still runs."""
        assert self._loop is not None, "the engine steps only after a message"
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, item)


class _ThreadInbox:
    """Messages from the event loop's thread."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Downward] = queue.SimpleQueue()

    def put(self, message: Downward) -> None:
        self._messages.put(message)

    def take(self, *, waits: bool) -> Sequence[Downward]:
        taken = [self._messages.get()] if waits else []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._messages.get_nowait())
        return taken

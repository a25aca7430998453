"""EngineClient: how a server sees an engine, wherever that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from inferflux.engine.messages import EngineStats, Hello, Request, TokenOutput


class TokenStream(Protocol):
    """An AsyncIterator of one request's outputs, for use in ``async with aclosing(...)``."""

    def __aiter__(self) -> AsyncIterator[TokenOutput]: ...

    async def __anext__(self) -> TokenOutput:
        """The next output; the last has a finish reason."""

    async def aclose(self) -> None:
        """Abort the request unless it has finished."""


class EngineClient(Protocol):
    """An engine, wherever it runs.  All of it belongs to one event loop."""

    @property
    def hello(self) -> Hello: ...

    @property
    def stats(self) -> EngineStats:
        """As of the engine's latest step."""

    @property
    def is_ready(self) -> bool:
        """Whether a request submitted now would be taken up."""

    def submit(self, request: Request) -> TokenStream:
        """Start a request.  Raises QueueFull and EngineFailed at once, the stream all the rest."""

    def abort(self, request_id: str) -> None:
        """End a request; its stream ends with ``abort``."""

    async def drain(self, timeout: float) -> bool:
        """Refuse new requests and wait for the open ones; False if some are still open."""

    async def close(self) -> None:
        """Stop the engine.  Requests that are still open fail."""

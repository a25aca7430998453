"""Server-sent events: an answer that is written while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send

from inferflux.server.exchange import ClientLeft
from inferflux.server.limits import LIMITS

DONE: Final = b"data: [DONE]\n\n"
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects events defeats them
]


def encode(payload: Any) -> bytes:
    """One event.  JSON has no raw newline, so a payload is always one line."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


class EventStream:
    """An ASGI response that sends frames as they come and closes their source in every case."""

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        self._frames = frames
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            headers = [*_HEADERS, *self.headers]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for frame in frames:
                await _send_in_time(send, frame)
            await send({"type": "http.response.body", "body": b""})


async def _send_in_time(send: Send, frame: bytes) -> None:
    """Sending waits while the client does not read; one that never does would hold its place."""
    try:
        async with asyncio.timeout(LIMITS.unread_seconds):
            await send({"type": "http.response.body", "body": frame, "more_body": True})
    except TimeoutError:
        raise ClientLeft(f"the client read nothing for {LIMITS.unread_seconds:g} s") from None

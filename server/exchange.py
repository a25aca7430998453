"""One HTTP request on its way to an answer, and what it holds until the answer is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from inferflux.errors import InferFluxError
from inferflux.server.limits import LIMITS
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import RequestRecord, Telemetry

_T = TypeVar("_T")


class BodyTooLarge(InferFluxError):
    """A body has more bytes than a request may have."""

    code = "request_too_large"


class BodyTimeout(InferFluxError):
    """A body did not arrive in time."""

    code = "request_timeout"


class UnsupportedEncoding(InferFluxError):
    """A body is compressed: a small request could become a large one."""

    code = "unsupported_encoding"


class ClientLeft(InferFluxError):
    """The client closed the connection before it had its answer."""

    code = "client_left"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a handler works with.  ``held`` is closed when the request ends, however it ends."""

    request: Request
    body: bytes
    service: GenerationService
    telemetry: Telemetry
    record: RequestRecord
    held: AsyncExitStack


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body, within the limits of size and time."""
    headers = Request(scope).headers
    if headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedEncoding("content-encoding is not supported; send the body as it is")
    if (declared := headers.get("content-length", "0")).isdigit():
        _check_size(int(declared))
    try:
        async with asyncio.timeout(LIMITS.body_seconds):
            return await _collect(receive)
    except TimeoutError:
        raise BodyTimeout(f"the body took more than {LIMITS.body_seconds:g} s to arrive") from None


async def _collect(receive: Receive) -> bytes:
    body = bytearray()
    has_more = True
    while has_more:
        message = await receive()
        _check_connected(message)
        body += message.get("body", b"")
        _check_size(len(body))
        has_more = message.get("more_body", False)
    return bytes(body)


def _check_size(num_bytes: int) -> None:
    if num_bytes > LIMITS.body_bytes:
        raise BodyTooLarge(f"the body has more than {LIMITS.body_bytes} bytes")


def _check_connected(message: Message) -> None:
    if message["type"] == "http.disconnect":
        raise ClientLeft("the client closed the connection")


async def while_connected(receive: Receive, work: Awaitable[_T]) -> _T:
    """Do the work; a client that leaves cancels it."""
    worker = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((worker, watcher), return_when=asyncio.FIRST_COMPLETED)
        if not worker.done():
            raise ClientLeft("the client closed the connection")
        return worker.result()
    finally:
        worker.cancel()
        watcher.cancel()
        await asyncio.gather(worker, watcher, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

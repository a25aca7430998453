"""What every HTTP request must pass before it is routed: it has to be meant for this machine."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from inferflux.errors import InferFluxError
from inferflux.server.endpoint import failure
from inferflux.server.telemetry import Telemetry

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class HostNotAllowed(InferFluxError):
    """The Host header does not name this machine: a page may have rebound its own name to it."""

    code = "host_not_allowed"


class OriginNotAllowed(InferFluxError):
    """The request comes from a web page that this machine did not serve."""

    code = "origin_not_allowed"


class LoopbackOnly:
    """ASGI middleware: refuses a Host or an Origin that is not a loopback name."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_headers(Headers(scope=scope))
        except InferFluxError as error:
            with self._telemetry.request("refused") as record:
                await failure(error, record)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def check_headers(headers: Headers) -> None:
    """One Host, of a loopback name; an Origin only of a loopback name."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_loopback("//" + hosts[0]):
        raise HostNotAllowed("the Host header must be 127.0.0.1, localhost or [::1]")
    if not all(is_loopback(origin) for origin in headers.getlist("origin")):
        raise OriginNotAllowed("requests from web pages of other hosts are refused")


def is_loopback(address: str) -> bool:
    """Whether an origin, or a host after ``//``, names this machine, with or without a port."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises if it is no number
    except ValueError:
        return False
    is_bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return is_bare and parts.hostname in LOOPBACK_NAMES

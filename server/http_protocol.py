"""HTTP/1.1 on the wire: uvicorn's httptools protocol, with the bounds that it lacks."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inferflux.server.limits import LIMITS


class HeadersTooLarge(Exception):
    """A request has more headers than are read."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Cuts a connection whose headers are too long, too many or too slow, or whose body never ends.

    The parser keeps a header until it is complete, so bytes are counted before it sees them too.
    """

    _num_bytes = 0  # of this request
    _num_arrived = 0  # last
    _are_headers_complete = False
    _refusal = HTTPStatus.BAD_REQUEST
    _slow_headers: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._num_bytes += len(data)
        self._num_arrived = len(data)
        super().data_received(data)
        if self._num_bytes <= self._bound() or self.transport.is_closing():
            return
        if self._are_headers_complete:
            self.transport.close()  # its body was refused long before, but goes on
        else:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._num_bytes = self._num_arrived  # the parser does not say where in it this one begins
        self._are_headers_complete = False
        self._expect_headers()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > LIMITS.header_fields:
            self._stop_parsing()

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(map(_line_bytes, self.headers)) > LIMITS.header_bytes:
            self._stop_parsing()
        self._are_headers_complete = True
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser could not read, or was stopped from reading."""
        self._refuse(self._refusal)

    def _stop_parsing(self) -> None:
        self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise HeadersTooLarge

    def _bound(self) -> int:
        return LIMITS.wire_bytes if self._are_headers_complete else LIMITS.header_bytes

    def _refuse(self, status: HTTPStatus) -> None:
        """There may be no request to answer yet, so the answer is written by hand."""
        head = f"HTTP/1.1 {status.value} {status.phrase}"
        self.transport.write(f"{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
        self.transport.close()

    def _expect_headers(self) -> None:
        if self._slow_headers is None:
            wait = LIMITS.header_seconds
            self._slow_headers = self.loop.call_later(
                wait, self._refuse, HTTPStatus.REQUEST_TIMEOUT
            )

    def _stop_timer(self) -> None:
        if self._slow_headers is not None:
            self._slow_headers.cancel()
            self._slow_headers = None


def _line_bytes(header: tuple[bytes, bytes]) -> int:
    name, value = header
    return len(name) + len(value) + len(b": \r\n")

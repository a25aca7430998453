"""Both doors of one service, open on their addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from inferflux.errors import InferFluxError
from inferflux.server.address import Address
from inferflux.server.grpc_server import grpc_server
from inferflux.server.http import http_app
from inferflux.server.http_protocol import BoundedHttpProtocol
from inferflux.server.limits import LIMITS
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import Telemetry

_LAST_BYTES_SECONDS: Final = 2  # for answers that are complete, but not yet on the wire


class AddressInUse(InferFluxError):
    """A door cannot open where it was told to."""

    code = "address_in_use"


class Doors:
    """The HTTP and the gRPC server, in this event loop."""

    def __init__(self, service: GenerationService, telemetry: Telemetry) -> None:
        self._grpc = grpc_server(service, telemetry)
        self._http = _HttpServer(
            uvicorn.Config(
                http_app(service, telemetry),
                http=BoundedHttpProtocol,
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=LIMITS.connections,
                timeout_graceful_shutdown=_LAST_BYTES_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def open(self, http: Address, grpc: Address) -> tuple[Address, Address]:
        """Listen, and tell on which addresses."""
        port = self._bind_grpc(grpc)
        listener = _listen(http)
        await self._grpc.start()
        self._serving = asyncio.create_task(self._http.serve([listener]), name="http door")
        await self._http.has_started.wait()
        return Address(http.host, listener.getsockname()[1]), Address(grpc.host, port)

    async def close(self) -> None:
        """Take no more connections and end those that are open."""
        self._http.should_exit = True
        if self._serving is not None:
            await self._serving
        await self._grpc.stop(grace=_LAST_BYTES_SECONDS)

    def _bind_grpc(self, address: Address) -> int:
        try:
            return int(self._grpc.add_insecure_port(str(address)))
        except RuntimeError as error:
            raise AddressInUse(f"gRPC cannot listen on {address}; choose another port") from error


class _HttpServer(uvicorn.Server):
    """uvicorn as a guest of our loop: signals are ours, and we are told when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        reason = error.strerror
        raise AddressInUse(
            f"HTTP cannot listen on {address} ({reason}); choose another port"
        ) from error
    return listener

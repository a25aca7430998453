"""grpc.health.v1, answered from the service itself, so that it can never be out of date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final

import grpc
import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

WATCH_SECONDS: Final = 0.1  # how late a watcher may learn of a change


class HealthServicer:
    """Serving means that a request sent now would be taken up."""

    def __init__(self, is_ready: Callable[[], bool], service_names: frozenset[str]) -> None:
        self._is_ready = is_ready
        self._service_names = service_names | {""}

    async def Check(  # noqa: N802 - gRPC's spelling
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> HealthCheckResponse:
        if request.service not in self._service_names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return HealthCheckResponse(status=self._status(request.service))

    async def Watch(  # noqa: N802
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[HealthCheckResponse, None]:
        """The status now, and each time it changes."""
        told = None
        while True:
            status = self._status(request.service)
            if status != told:
                yield HealthCheckResponse(status=status)
            told = status
            await asyncio.sleep(WATCH_SECONDS)

    def _status(self, service: str) -> int:
        if service not in self._service_names:
            return int(HealthCheckResponse.SERVICE_UNKNOWN)
        is_ready = self._is_ready()
        return int(HealthCheckResponse.SERVING if is_ready else HealthCheckResponse.NOT_SERVING)

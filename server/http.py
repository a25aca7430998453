"""The HTTP door: the route table as an ASGI app, and the server that carries it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from inferflux.errors import InferFluxError
from inferflux.server.endpoint import Endpoint, failure
from inferflux.server.guards import LoopbackOnly
from inferflux.server.routes import HTTP_ROUTES, UNDECLARED, HttpRoute
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import Telemetry


class MethodNotAllowed(InferFluxError):
    """The path is declared, but not for this method."""

    code = "method_not_allowed"


class Methods:
    """The endpoints of one path, by method."""

    def __init__(self, endpoints: Mapping[str, Endpoint], telemetry: Telemetry) -> None:
        self._endpoints = endpoints
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is not None:
            await endpoint(scope, receive, send)
            return
        with self._telemetry.request("refused") as record:
            allowed = ", ".join(sorted(self._endpoints))
            response = failure(MethodNotAllowed(f"this path answers {allowed} only"), record)
            response.headers["allow"] = allowed
            await response(scope, receive, send)


def http_app(service: GenerationService, telemetry: Telemetry) -> ASGIApp:
    """What is declared in the route table, and nothing else."""

    def endpoint(route: HttpRoute) -> Endpoint:
        return Endpoint(route, service, telemetry)

    paths: dict[str, dict[str, Endpoint]] = {}
    for route in HTTP_ROUTES:
        paths.setdefault(route.path, {})[route.method] = endpoint(route)
    router = Router(
        [Route(path, Methods(methods, telemetry)) for path, methods in paths.items()],
        redirect_slashes=False,
        default=endpoint(UNDECLARED),
    )
    return LoopbackOnly(router, telemetry)

"""Both doors offer exactly what the route table declares."""

from __future__ import annotations

import grpc.aio
import pytest

from inferflux.server.routes import GRPC_ROUTES, HTTP_ROUTES, RateClass, Scope

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE")


@pytest.mark.parametrize("path", sorted({route.path for route in HTTP_ROUTES}))
async def test_http_answers_the_declared_methods_only(http, path):
    declared = {route.method for route in HTTP_ROUTES if route.path == path}
    url = path.replace("{model:path}", "served")
    answers = {method: (await http.request(method, url)).status_code for method in METHODS}
    assert {method for method, status in answers.items() if status != 405} == declared
    assert not {status for status in answers.values() if status >= 500}


async def test_grpc_offers_the_declared_methods_only(grpc_methods, channel):
    """Reflection lists what the .proto files have; the standard ones have more than we offer."""
    offered = {path for path in grpc_methods if await is_offered(channel, path)}
    assert offered == {route.path for route in GRPC_ROUTES}
    assert grpc_methods - offered == {"/grpc.health.v1.Health/List"}


async def is_offered(channel: grpc.aio.Channel, path: str) -> bool:
    call = channel.stream_stream(path)(iter([b""]))
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.UNIMPLEMENTED
    finally:
        call.cancel()
    return True


def test_every_route_is_declared_once():
    paths = [(route.method, route.path) for route in (*HTTP_ROUTES, *GRPC_ROUTES)]
    assert len(set(paths)) == len(paths)


def test_only_probes_are_public():
    public = {r.path for r in (*HTTP_ROUTES, *GRPC_ROUTES) if r.access.scope is Scope.PUBLIC}
    assert public == {
        "/livez",
        "/readyz",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    }


def test_http_reads_a_body_exactly_where_there_is_a_schema():
    for route in HTTP_ROUTES:
        assert (route.schema is not None) == (route.method == "POST")
        assert (route.access.rate_class is RateClass.GENERATION) == (route.method == "POST")

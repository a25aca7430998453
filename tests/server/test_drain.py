"""A server that is told to stop finishes what it can, says so where it cannot, and ends well."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import grpc
import httpx
import pytest

from inferflux.engine.config import EngineConfig
from inferflux.errors import InvalidArgument
from inferflux.server.address import Address
from inferflux.server.app import Ready, ServerConfig
from inferflux.server.doors import AddressInUse, Doors
from inferflux.server.service import GenerationService
from inferflux.server.serving import serve_engine
from inferflux.server.telemetry import Telemetry

ANY_PORT = Address("127.0.0.1", 0)
STREAM = {"model": "served", "prompt": "a", "stream": True}


def config(**fields) -> ServerConfig:
    engine = EngineConfig(artifact=Path("unused.ifx"))
    return ServerConfig(engine=engine, **{"http": ANY_PORT, "grpc": ANY_PORT} | fields)


async def test_draining_refuses_what_is_new_at_once(server, http, inference):
    server.engine.hangs_after("hello")
    async with http.stream("POST", "/v1/completions", json=STREAM) as running:
        await anext(running.aiter_lines())
        draining = asyncio.create_task(server.service.drain(30))
        await asyncio.sleep(0)
        assert (await http.get("/readyz")).status_code == 503
        refused = await http.post("/v1/completions", json=STREAM)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await inference.call("Generate", model="served", text="a").read()
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    await draining


async def test_a_stream_that_finishes_within_the_window_is_whole(server, http):
    server.engine.says("hello " * 5)
    async with http.stream("POST", "/v1/completions", json=STREAM) as running:
        draining = asyncio.create_task(server.service.drain(30))
        lines = [line async for line in running.aiter_lines() if line]
    await draining
    assert lines[-1] == "data: [DONE]"


async def test_a_stream_past_the_window_ends_with_an_error_event(server, http):
    server.engine.hangs_after("hello")
    async with http.stream("POST", "/v1/completions", json=STREAM) as running:
        lines = running.aiter_lines()
        await anext(lines)
        await server.service.drain(0.01)
        rest = [line async for line in lines if line]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "draining"
    assert server.engine.aborted


async def test_a_grpc_stream_past_the_window_ends_with_unavailable(server, inference):
    server.engine.hangs_after("hello")
    call = inference.call("Generate", model="served", text="a")
    await call.read()
    await server.service.drain(0.01)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_ends_the_server(model, engine, number):
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_engine(config(), model, engine, ready.set_result))
    served = await ready
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{served.http}/readyz")
    assert answer.status_code == 200
    assert served.grpc.port not in (0, served.http.port)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await serving


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", ""])
def test_an_address_that_others_can_reach_is_refused(host):
    for door in ("http", "grpc"):
        with pytest.raises(InvalidArgument, match="keys"):
            config(**{door: Address(host, 8000)})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_a_loopback_address_is_accepted(host):
    assert config(http=Address(host, 8000)).http.port == 8000


async def test_a_taken_port_is_refused_by_its_address(server):
    service = GenerationService(server.engine.model, server.engine)
    doors = Doors(service, Telemetry())
    with pytest.raises(AddressInUse, match=str(server.http.port)):
        await doors.open(server.http, ANY_PORT)
    with pytest.raises(AddressInUse, match=str(server.grpc.port)):
        await doors.open(ANY_PORT, server.grpc)
    await doors.close()
    service.close()

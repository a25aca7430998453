"""A server from start to end: the engine, both doors, and the drain when it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import uvloop

from inferflux.codegen import artifact
from inferflux.engine.client import EngineClient
from inferflux.engine.config import EngineConfig
from inferflux.engine.process import EngineProcess
from inferflux.errors import InvalidArgument
from inferflux.server.doors import Address, Doors
from inferflux.server.model import ServedModel
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import Telemetry

log = logging.getLogger(__name__)


HTTP_ADDRESS: Final = Address("127.0.0.1", 8000)
GRPC_ADDRESS: Final = Address("127.0.0.1", 8001)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What the user chose for one server."""

    engine: EngineConfig
    model_name: str | None = None  # None: as the model's file calls it
    http: Address = HTTP_ADDRESS
    grpc: Address = GRPC_ADDRESS
    drain_seconds: float = 45.0

    def __post_init__(self) -> None:
        self.http.check_loopback()
        self.grpc.check_loopback()
        if self.drain_seconds < 0:
            raise InvalidArgument(f"drain_seconds is {self.drain_seconds}: it must be at least 0")


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that answers: where, and for which model."""

    model: str
    http: Address
    grpc: Address


OnReady = Callable[[Ready], None]


def serve(config: ServerConfig, on_ready: OnReady | None = None) -> None:
    """Serve an artifact until SIGTERM or SIGINT, then drain."""
    uvloop.run(_serve(config, on_ready))


async def _serve(config: ServerConfig, on_ready: OnReady | None) -> None:
    engine = EngineProcess(config.engine)
    try:
        opening = asyncio.to_thread(_open_model, config)  # while the engine maps and warms it
        model, _ = await asyncio.gather(opening, engine.start())
        with closing(model):
            await serve_engine(config, model, engine, on_ready)
    finally:
        await engine.close()


def _open_model(config: ServerConfig) -> ServedModel:
    opened = artifact.peek(config.engine.artifact)
    facts, tokenizer = opened.model.facts, opened.model.tokenizer
    return ServedModel.of(facts, tokenizer, opened.digest, config.model_name)


async def serve_engine(
    config: ServerConfig,
    model: ServedModel,
    engine: EngineClient,
    on_ready: OnReady | None = None,
) -> None:
    """Serve an engine that is up, until a signal."""
    service = GenerationService(model, engine)
    doors = Doors(service, Telemetry(lambda: engine.stats))
    try:
        http, grpc = await doors.open(config.http, config.grpc)
        stop = _stop_signal()
        if on_ready is not None:
            on_ready(Ready(model.name, http, grpc))
        log.info("serving %s on http://%s and grpc://%s", model.name, http, grpc)
        await stop.wait()
        log.info("draining, for at most %g s", config.drain_seconds)
        await service.drain(config.drain_seconds)
    finally:
        await doors.close()
        service.close()


def _stop_signal() -> asyncio.Event:
    """Set once the process is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop

"""A server from start to end: its engine first, and while that comes up all the rest."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvloop

from inferflux.engine.config import EngineConfig
from inferflux.engine.launch import Launched
from inferflux.engine.process import EngineProcess
from inferflux.errors import InvalidArgument
from inferflux.server.address import Address

if TYPE_CHECKING:
    from inferflux.server.model import ServedModel

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


def serve(
    config: ServerConfig, on_ready: OnReady | None = None, launched: Launched | None = None
) -> None:
    """Serve an artifact until SIGTERM or SIGINT, then drain.

    ``launched`` is a process for the engine that was started before the configuration was known.
    """
    engine = EngineProcess(config.engine, launched=launched)
    uvloop.run(_serve(config, engine, on_ready))


async def _serve(config: ServerConfig, engine: EngineProcess, on_ready: OnReady | None) -> None:
    gc.disable()  # nothing that is imported or loaded is garbage
    try:
        opening = asyncio.to_thread(_open_model, config)
        _, model = await asyncio.gather(engine.start(), opening)
        from inferflux.server.serving import serve_engine

        gc.freeze()  # it stays: no collection need look at it again
        gc.enable()
        with closing(model):
            await serve_engine(config, model, engine, on_ready)
    finally:
        await engine.close()


def _open_model(config: ServerConfig) -> ServedModel:
    """The doors' packages are imported here: that takes as long as an engine takes to come up."""
    from inferflux.server.serving import open_model

    return open_model(config)

"""Serving an engine that is up: its model's text, both doors, and the drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import Final

from inferflux.codegen import artifact
from inferflux.engine.client import EngineClient
from inferflux.server.app import OnReady, Ready, ServerConfig
from inferflux.server.doors import Doors
from inferflux.server.model import ServedModel
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import Telemetry

log = logging.getLogger(__name__)

# Preparing a tokenizer takes the interpreter for itself: who waited for the doors goes first.
_HEAD_START_SECONDS: Final = 0.03
_CALM_SECONDS: Final = 0.5  # the same of the process that renders chats, a tenth of a second's work


def open_model(config: ServerConfig) -> ServedModel:
    """The model's facts and tokenizer, out of its artifact."""
    text = artifact.load_text(config.engine.artifact)
    return ServedModel.of(text.facts, text.tokenizer, text.digest, config.model_name)


async def serve_engine(
    config: ServerConfig,
    model: ServedModel,
    engine: EngineClient,
    on_ready: OnReady | None = None,
) -> None:
    """Serve an engine that is up, until a signal."""
    service = GenerationService(model, engine)
    doors = Doors(service, Telemetry())
    try:
        http, grpc = await doors.open(config.http, config.grpc)
        stop = _stop_signal()
        await asyncio.sleep(_HEAD_START_SECONDS)
        await service.offload.run(model.tokenizer.prepare)  # whatever it refuses ends the server
        if on_ready is not None:
            on_ready(Ready(model.name, http, grpc))
        log.info("serving %s on http://%s and grpc://%s", model.name, http, grpc)
        if not await _stops_within(stop, _CALM_SECONDS):
            await service.offload.run(model.template.prepare)
        await stop.wait()
        log.info("draining, for at most %g s", config.drain_seconds)
        await service.drain(config.drain_seconds)
    finally:
        await doors.close()
        service.close()


async def _stops_within(stop: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()


def _stop_signal() -> asyncio.Event:
    """Set once the process is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop

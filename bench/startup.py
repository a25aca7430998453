"""Start-up: from the start of a server's process to the first token that it serves."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from inferflux.bench.errors import BenchFailed, PeerUnavailable
from inferflux.bench.figures import Figure, ratios
from inferflux.bench.serving.door import Door, Refused
from inferflux.bench.serving.http_door import HttpDoor
from inferflux.bench.serving.server import end, last_words, serve_command
from inferflux.engine.config import EngineConfig

LOOPBACK: Final = "127.0.0.1"
LLAMA_SERVER: Final = "llama-server"
_PROMPT: Final = (300, 301, 302, 303)  # token ids that every vocabulary has
_POLL_SECONDS: Final = 0.005
_PATIENCE_SECONDS: Final = 300.0

OnProgress = Callable[[str, float], None]


class StartupFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds to the first token, by side; ``ratio`` is ours to the fastest other's."""

    sides: dict[str, Figure]
    ratio: Figure | None = None


@dataclass(frozen=True, slots=True)
class Starter:
    """How a server is started on a port, and what it calls its model."""

    command: Callable[[int], Sequence[str]]
    model: str


def our_starter(config: EngineConfig) -> Starter:
    """`inferflux serve`, as its user would type it."""
    return Starter(lambda port: serve_command(config, port), config.artifact.stem)


def llama_starters(server: Path, model: Path, threads: int) -> Mapping[str, Starter]:
    """llama.cpp's server, with the empty run at its start and without."""
    if not server.is_file():
        raise PeerUnavailable(f"{server} is no file; build llama.cpp's target llama-server")

    def command(port: int, *options: str) -> Sequence[str]:
        place = ("--host", LOOPBACK, "--port", str(port))
        return [str(server), "-m", str(model), *place, "-t", str(threads), *options]

    return {
        LLAMA_SERVER: Starter(command, "any"),
        f"{LLAMA_SERVER} --no-warmup": Starter(lambda port: command(port, "--no-warmup"), "any"),
    }


def measure_startup(
    starters: Mapping[str, Starter],
    rounds: int,
    on_progress: OnProgress,
    keep: Callable[[StartupFigure], None],
) -> None:
    """Start every server once a round, after one start that is not counted.  The first is ours.

    The figure so far is kept after every round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in starters}
    for index in range(rounds + 1):
        for name, starter in starters.items():
            on_progress(f"start {name}", index / (rounds + 1))
            taken = seconds_to_first_token(starter)
            if index > 0:
                seconds[name].append(taken)
        if index > 0:
            keep(_figure(seconds))


def _figure(seconds: Mapping[str, Sequence[float]]) -> StartupFigure:
    sides = {name: Figure.of(runs) for name, runs in seconds.items()}
    ours, *others = sides.values()
    fastest = min(others, key=lambda figure: figure.median, default=None)
    return StartupFigure(sides, ratios(ours, fastest) if fastest else None)


def seconds_to_first_token(starter: Starter) -> float:
    """Start a server, ask at once and again until it answers, and end it."""
    port = _free_port()
    door = HttpDoor(LOOPBACK, port, starter.model)
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(starter.command(port), stdout=said, stderr=said)
        try:
            asyncio.run(_first_token(door, process))
            return time.perf_counter() - start
        except _Ended:
            message = f"{process.args!r} ended with status {process.returncode}"
            raise BenchFailed(f"{message}: {last_words(said)}") from None
        finally:
            end(process)


class _Ended(Exception):
    """The server's process is gone."""


async def _first_token(door: Door, process: subprocess.Popen[bytes]) -> None:
    """Ask until there is an answer: nobody listens at first, and later it may have no model yet."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while process.poll() is None:
            try:
                async with aclosing(door.generate(_PROMPT, 1)) as messages:
                    await anext(messages)
                    return
            except (ConnectionError, Refused):
                await asyncio.sleep(_POLL_SECONDS)
    raise _Ended


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port

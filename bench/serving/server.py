"""A server of our own, started on loopback for as long as it is measured."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from inferflux.bench.errors import BenchFailed
from inferflux.bench.serving.door import Door
from inferflux.bench.serving.grpc_door import GrpcDoor
from inferflux.bench.serving.http_door import HttpDoor
from inferflux.engine.config import EngineConfig
from inferflux.errors import InvalidArgument

_GREETING = re.compile(r"ready: .*\n\s+HTTP +http://(\S+)\n +gRPC +(\S+)\n")
_LAST_LINE = "Ctrl-C"  # of the greeting
_STOP_SECONDS = 30
_LAST_WORDS = 2000  # bytes of what a server that did not come up said last


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server's doors are, each ``host:port`` or None."""

    http: str | None = None
    grpc: str | None = None

    @classmethod
    def parse(cls, url: str) -> Addresses:
        """``http://host:port`` or ``grpc://host:port``."""
        scheme, separator, address = url.rstrip("/").partition("://")
        if not separator or scheme not in ("http", "grpc") or not _port(address):
            raise InvalidArgument(
                f"--url {url}: write http://HOST:PORT or grpc://HOST:PORT of a running server"
            )
        return cls(http=address) if scheme == "http" else cls(grpc=address)

    def doors(self) -> list[Door]:
        """A client of each; gRPC comes first."""
        found: list[Door] = []
        if self.grpc is not None:
            found.append(GrpcDoor(self.grpc))
        if self.http is not None:
            found.append(HttpDoor(self.http.rpartition(":")[0].strip("[]"), _port(self.http)))
        return found


def serve_command(config: EngineConfig, http_port: int = 0) -> list[str]:
    """The command that serves an artifact on free ports, as its user would type it."""
    return [
        *(sys.executable, "-P", "-m", "inferflux", "serve", str(config.artifact)),
        *("--http-port", str(http_port), "--grpc-port", "0"),
        *("--threads", str(config.num_workers)),
        *("--kv-bytes", str(config.kv_bytes)),
        *("--max-sequences", str(config.max_sequences)),
        *("--queue", str(config.max_waiting)),
        *("--chunk-tokens", str(config.chunk_tokens)),
        *("--determinism", config.determinism),
    ]


@contextmanager
def running_server(config: EngineConfig) -> Iterator[Addresses]:
    """A server process that is ready; it ends with the block."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            serve_command(config), stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        try:
            greeting = _GREETING.search(_read_greeting(process))
            if greeting is None:
                raise BenchFailed(f"the server did not come up: {last_words(said)}")
            yield Addresses(*greeting.groups())
        finally:
            end(process)


def _read_greeting(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = ""
    for line in process.stdout:
        lines += line
        if line.startswith(_LAST_LINE):
            break
    return lines


def end(process: subprocess.Popen[Any]) -> None:
    """Ask a server to end, and make it."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(said: IO[bytes]) -> str:
    """The end of what a process wrote to a file."""
    said.seek(0)
    return said.read()[-_LAST_WORDS:].decode(errors="replace").strip() or "it said nothing"


def _port(address: str) -> int:
    """The port of ``host:port``; 0 where there is none."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() else 0

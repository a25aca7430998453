"""What whole paths need: the default model compiled by this checkout, and commands as processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

import gguf_files
from inferflux import codegen
from inferflux.cli.build import best_target
from inferflux.codegen import artifact
from inferflux.ir import frontend

CompiledDefault = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]
StartServer = Callable[..., "Server"]
SERVICE = "inferflux.v1.Inference"
PATIENCE = 30  # seconds for a call that takes milliseconds
START_SECONDS = 120  # to compile a tiny model and serve it, on a busy machine
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A running `inferflux serve`."""

    process: subprocess.Popen[str]
    model: str
    http: str  # base address
    grpc: str  # host:port

    def metric(self, name: str) -> float:
        """The value of a metric that has no labels."""
        text = httpx.get(f"{self.http}/metrics").raise_for_status().text
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found, f"no metric {name} in:\n{text}"
        return float(found[1])

    def stop(self) -> int:
        """Ask it to end, as an init system does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


class Reflected:
    """A gRPC client that has only the address: methods and messages come from reflection."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self._service = pool.FindServiceByName(SERVICE)

    def stream(self, method: str, **fields: Any) -> Any:
        described = self._service.FindMethodByName(method)
        request = GetMessageClass(described.input_type)(**fields)
        call = self.channel.unary_stream(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        return call(request, timeout=PATIENCE)


@pytest.fixture(scope="session")
def compiled_default(
    default_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> CompiledDefault:
    """``compiled_default(numerics="float32", target="cpu:portable") -> Path`` of the artifact.

    Compiled anew in every session, so that no stale artifact is ever tested.
    """
    folder = tmp_path_factory.mktemp("artifacts")

    @cache
    def compiled(numerics: str = "default", target: str | None = None) -> Path:
        target = target or best_target()
        path = folder / f"{target.replace(':', '-')}-{numerics}.ifx"
        model = codegen.compile(frontend.open(default_model), targets=(target,), numerics=numerics)
        artifact.save(model, path)
        return path

    return compiled


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is never reached through a proxy, whatever the environment says."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of the commands: what one test compiled, the next finds."""
    return {**os.environ, "INFERFLUX_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture
def inferflux(variables: Mapping[str, str]) -> Command:
    """Run `inferflux ...` to its end."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "inferflux", *map(str, arguments)],
            env=variables,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def talkative(tiny_gguf: Callable[..., Path]) -> Path:
    """A tiny model with room for long texts and no token that ends one, stated or by its name."""
    first, start, last, *others = gguf_files.tokenizer()["tokenizer.ggml.tokens"]
    names = [first.replace("end", "un"), start, last.replace("end", "un"), *others]
    return tiny_gguf(
        name="talkative.gguf",
        context_length=4096,
        metadata={"tokenizer.ggml.eos_token_id": None, "tokenizer.ggml.tokens": names},
    )


@pytest.fixture
def start_server(variables: Mapping[str, str]) -> Iterator[StartServer]:
    """Start `inferflux serve MODEL ...` on free ports, with one worker; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(model: Path, *options: str) -> Server:
        command = [sys.executable, "-m", "inferflux", "serve", str(model), "--threads", "1"]
        process = subprocess.Popen(
            [*command, "--http-port", "0", "--grpc-port", "0", *options],
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return _until_ready(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _until_ready(process: subprocess.Popen[str]) -> Server:
    """Read the greeting, or fail with what came instead."""
    assert process.stdout is not None
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            break
    watchdog.cancel()
    found = re.search(r"ready: (.*)\n[^/]*HTTP +(http://\S+)\n +gRPC +(\S+)\n", said)
    assert found, f"the server did not come up; it said:\n{said}"
    return Server(process, *found.groups())


@pytest.fixture
def reflect() -> Iterator[Callable[[str], Reflected]]:
    """``reflect(address)``: a client that knows only that; its channel ends with the test."""
    made: list[Reflected] = []

    def connect(address: str) -> Reflected:
        made.append(Reflected(address))
        return made[-1]

    yield connect
    for client in made:
        client.channel.close()

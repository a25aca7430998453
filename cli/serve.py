"""`inferflux serve`: both doors in front of one model, until a signal."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferflux.cli import environment
from inferflux.cli.model_argument import is_artifact, served_name
from inferflux.cli.options import (
    DEFAULT_KV_BYTES,
    Determinism,
    KVBytes,
    KVDtype,
    Model,
    Numerics,
    Quantize,
    Threads,
)

if TYPE_CHECKING:
    from inferflux.server.app import Ready

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]

_GREETING = """\
ready: {model}

  HTTP  http://{http}
  gRPC  {grpc}

  curl http://{http}/v1/chat/completions -H 'content-type: application/json' -d '{{
    "model": "{model}", "stream": true,
    "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}'

  grpcurl -plaintext -d '{{"model": "{model}", "text": "The capital of France is"}}' \\
    {grpc} inferflux.v1.Inference/Generate

Ctrl-C drains and stops."""


def serve(
    context: typer.Context,
    model: Model,
    host: Annotated[str, typer.Option(help="Address of both doors; loopback only.")] = "127.0.0.1",
    http_port: Port = 8000,
    grpc_port: Port = 8001,
    threads: Threads = None,
    kv_bytes: KVBytes = DEFAULT_KV_BYTES,
    max_sequences: Annotated[int, typer.Option(min=1, help="Sequences that run at once.")] = 32,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait beyond those.")] = 128,
    chunk_tokens: Annotated[int, typer.Option(min=2, help="Tokens of a step at most.")] = 256,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="What running requests get after SIGTERM.")
    ] = 45.0,
    numerics: Numerics = "default",
    kv_dtype: KVDtype = "f16",
    quantize: Quantize = None,
    determinism: Determinism = "default",
) -> None:
    """Serve a model over gRPC and an OpenAI-compatible HTTP API."""
    from inferflux.engine.config import EngineConfig
    from inferflux.engine.determinism import determinism_named
    from inferflux.server import app
    from inferflux.server.address import Address

    engine = EngineConfig(
        artifact=_artifact(model, numerics, kv_dtype, quantize or ""),
        num_workers=threads,
        kv_bytes=kv_bytes,
        max_sequences=max_sequences,
        max_waiting=queue,
        chunk_tokens=chunk_tokens,
        determinism=determinism_named(determinism),
        record_dir=environment.record_dir(),
    )
    config = app.ServerConfig(
        engine=engine,
        model_name=served_name(model),
        http=Address(host, http_port),
        grpc=Address(host, grpc_port),
        drain_seconds=drain_seconds,
    )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("inferflux").setLevel(logging.INFO)  # a line per request, none per token
    app.serve(config, greet, context.obj)


def _artifact(model: str, numerics: str, kv_dtype: str, quantise: str) -> Path:
    """What is compiled already is served as it is: a build would import what takes 0.2 s."""
    if is_artifact(model) and not quantise:
        return Path(model)
    from inferflux.cli.build import BuildOptions, artifact_for
    from inferflux.cli.progress import build_progress

    options = BuildOptions(numerics=numerics, kv_dtype=kv_dtype, quantise=quantise)
    with build_progress() as report:
        return artifact_for(model, options, report)


def greet(ready: Ready) -> None:
    """Say where the doors are, and how to knock."""
    typer.echo(_GREETING.format(model=ready.model, http=ready.http, grpc=ready.grpc))

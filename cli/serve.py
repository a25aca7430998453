"""`inferflux serve`: both doors in front of one model, until a signal."""

from __future__ import annotations

from typing import Annotated

import typer

from inferflux.cli.options import DEFAULT_KV_BYTES, KVBytes, Model, Numerics, Threads


def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address of both doors; loopback only.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8001,
    threads: Threads = None,
    kv_bytes: KVBytes = DEFAULT_KV_BYTES,
    max_sequences: Annotated[int, typer.Option(min=1, help="Sequences that run at once.")] = 32,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait beyond those.")] = 128,
    chunk_tokens: Annotated[int, typer.Option(min=2, help="Tokens of a step at most.")] = 256,
    drain_seconds: Annotated[float, typer.Option(min=0, help="After SIGTERM.")] = 30.0,
    numerics: Numerics = "default",
) -> None:
    """Serve a model over gRPC and an OpenAI-compatible HTTP API."""

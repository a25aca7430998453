"""`inferflux run`: one prompt, answered in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

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
from inferflux.cli.terminal import printable

if TYPE_CHECKING:
    from inferflux.completion import Timing


def run(
    model: Model,
    prompt: Annotated[str, typer.Argument(help="What to say; `-` reads it from stdin.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate at most.")] = 512,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus of this mass.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="The k likeliest tokens.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same text.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the text; no chat template.")
    ] = False,
    threads: Threads = None,
    kv_bytes: KVBytes = DEFAULT_KV_BYTES,
    numerics: Numerics = "default",
    kv_dtype: KVDtype = "f16",
    quantize: Quantize = None,
    determinism: Determinism = "default",
) -> None:
    """Answer a prompt, streaming, with the speed at the end."""
    from inferflux import api
    from inferflux.cli.build import BuildOptions, artifact_for
    from inferflux.cli.progress import build_progress

    built = BuildOptions(numerics=numerics, kv_dtype=kv_dtype, quantise=quantize or "")
    with build_progress() as report:
        artifact = artifact_for(model, built, report)
    text = sys.stdin.read() if prompt == "-" else prompt
    options = api.GenerateOptions(
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        determinism=determinism,
    )
    if seed is not None:
        options["seed"] = seed
    with api.load(artifact, threads=threads, kv_bytes=kv_bytes, max_sequences=1) as llm:
        if raw:
            stream = llm.stream(text, **options)
        else:
            stream = llm.stream_chat([{"role": "user", "content": text}], **options)
        for piece in stream:
            _show(piece)
        typer.echo()
        assert stream.completion is not None, "the stream ran to its end"
        typer.echo(speed_line(stream.completion.timing), err=True)


def speed_line(timing: Timing) -> str:
    """`prompt 31 tokens, prefill 812.0 tok/s, TTFT 38 ms; output 64 tokens, decode 212.0 tok/s`"""
    prompt, output = timing.num_prompt_tokens, timing.num_output_tokens
    prefill = f"prefill {timing.prefill_speed:.1f} tok/s, TTFT {1000 * timing.first_token:.0f} ms"
    decode = f", decode {timing.decode_speed:.1f} tok/s" if timing.decode_speed else ""
    return f"prompt {prompt} tokens, {prefill}; output {output} tokens{decode}"


def _show(piece: str) -> None:
    """Text as it comes; what a terminal would obey is spelled out there, and kept in a pipe."""
    sys.stdout.write(printable(piece) if sys.stdout.isatty() else piece)
    sys.stdout.flush()

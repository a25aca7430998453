"""Options that several commands share, each spelled and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from inferflux.cli.sizes import parse_size

_MODEL = typer.Argument(
    help="Model name, .gguf file, directory with safetensors, or compiled .ifx.",
    metavar="MODEL",
    show_default=False,
)
Model = Annotated[str, _MODEL]
MaybeModel = Annotated[str | None, _MODEL]
Threads = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="The most worker threads; every core if not given."),
]
KVBytes = Annotated[
    int,
    typer.Option(
        parser=parse_size,
        metavar="SIZE",
        show_default="256MB",
        help="Memory for KV pages, for example 1GB.",
    ),
]
NumericsMode = Literal["default", "float32"]
Numerics = Annotated[
    NumericsMode, typer.Option(help="`default`, or `float32`: every product and sum in float32.")
]
KVDtypeName = Literal["f16", "int8"]
KVDtype = Annotated[
    KVDtypeName,
    typer.Option(help="What KV pages hold: `f16`, or `int8` with half the bytes."),
]
Quantize = Annotated[
    Literal["q4_0", "q4_1", "q8_0", "q4_k", "q6_k"] | None,
    typer.Option(help="Quantise matrices of more bits to this type; `compile` says the error."),
]
DeterminismMode = Literal["default", "batch_invariant"]
Determinism = Annotated[
    DeterminismMode,
    typer.Option(
        help="`default`, or `batch_invariant`: no bit depends on the batch; slower prompts."
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help="Such as cpu:avx2, cpu:neon or cpu:portable; repeatable; else for this machine.",
    ),
]
DumpIR = Annotated[
    Path | None, typer.Option("--dump-ir", help="Write the graph after every pass to this folder.")
]
TunedFor = Annotated[
    str | None,
    typer.Option(
        "--tuned-for",
        metavar="DEVICE|FILE",
        help="Tuning records of a device, or in a .json file, before those that ship.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]

DEFAULT_KV_BYTES = 256 << 20

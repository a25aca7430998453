"""`inferflux compile`: a model into one artifact."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from inferflux.cli.options import DumpIR, KVDtype, Numerics, Quantize, Targets, TunedFor
from inferflux.cli.sizes import format_size

Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="The artifact; ./NAME.ifx if not given.")
]


def compile_(
    model: Annotated[
        str, typer.Argument(help="Model name, .gguf file or directory with safetensors.")
    ],
    output: Output = None,
    target: Targets = None,
    numerics: Numerics = "default",
    kv_dtype: KVDtype = "f16",
    quantize: Quantize = None,
    tuned_for: TunedFor = None,
    dump_ir: DumpIR = None,
) -> None:
    """Compile a model into one artifact; the same input gives the same bytes anywhere."""
    from inferflux.cli.build import BuildOptions, compile_to
    from inferflux.cli.progress import build_progress

    options = BuildOptions(
        tuple(target or ()), numerics, dump_ir, tuned_for, kv_dtype, quantize or ""
    )
    started = time.perf_counter()
    with build_progress() as report:
        built = compile_to(model, output, options, report)
    seconds = time.perf_counter() - started
    size = format_size(built.path.stat().st_size)
    typer.echo(f"{built.path}  {size}  {seconds:.1f} s", err=True)
    typer.echo(f"sha256:{built.digest}")

"""`inferctl synth`: a model file of random weights, to measure a shape without its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synth(
    shape: Annotated[
        str,
        typer.Argument(help="Its name; another one lists them.", metavar="SHAPE"),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The GGUF file to write.")],
    type_: Annotated[
        str, typer.Option("--type", help="Of the matrices: q4_0 q4_1 q8_0 q4_k_m f16 bf16 f32.")
    ] = "q4_0",
    embedding: Annotated[
        str | None,
        typer.Option(
            help="Type of the embedding, the head too; q8_0 if the matrices are q…, q6_k of q4_k_m."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
) -> None:
    """Write a model of a real shape and random weights: right for speed, of no other use."""
    from inferflux.bench.synth import Types, shape_named, write_model
    from inferflux.cli.progress import build_progress
    from inferflux.cli.sizes import format_size

    with build_progress() as report:
        types = Types.of(type_.lower(), embedding and embedding.lower())
        chosen = shape_named(shape)
        nbytes = write_model(output, chosen, types, seed=seed, on_progress=report.stage)
    typer.echo(str(output))
    typer.echo(f"random {shape} {type_}  {format_size(nbytes)}  seed {seed}", err=True)

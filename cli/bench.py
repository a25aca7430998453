"""`inferflux bench`: tokens per second through the engine's own step loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferflux.cli.options import Model, Numerics, Threads
from inferflux.cli.sizes import Counts, parse_counts

if TYPE_CHECKING:
    from inferflux.bench.result import BenchResult


def bench(
    model: Model,
    json: Annotated[
        Path | None, typer.Option(help="Write JSON to this file; `-` is stdout.", allow_dash=True)
    ] = None,
    threads: Threads = None,
    depth: Annotated[int, typer.Option(min=1, help="Tokens before the timed steps.")] = 128,
    streams: Annotated[
        Counts,
        typer.Option(
            parser=parse_counts,
            metavar="B,…",
            show_default="1,4,8,16,32",
            help="Streams decoded at once.",
        ),
    ] = Counts((1, 4, 8, 16, 32)),
    prefill: Annotated[
        Counts,
        typer.Option(
            parser=parse_counts, metavar="N,…", show_default="32,128,512", help="Prompt lengths."
        ),
    ] = Counts((32, 128, 512)),
    steps: Annotated[int, typer.Option(min=1, help="Decode steps that are timed.")] = 64,
    numerics: Numerics = "default",
) -> None:
    """Measure a model: prefill and decode speed, medians over fresh random prompts."""
    from inferflux.bench.measure import measure
    from inferflux.bench.protocol import Workload
    from inferflux.cli.build import BuildOptions, artifact_for
    from inferflux.cli.progress import build_progress

    workload = Workload(tuple(prefill), tuple(streams), depth, steps)
    with build_progress() as report:
        artifact = artifact_for(model, BuildOptions(numerics=numerics), report)
    with build_progress() as report:
        result = measure(artifact, workload, threads, lambda key: report.stage(key, 0.0))
    if json is None:
        _print(result)
    else:
        _write(result, json)


def _print(result: BenchResult) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", box=None, header_style="dim", pad_edge=False)
    table.add_column("tok/s", justify="right")
    table.add_column("ms/step", justify="right")
    for row in result.rows():
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    console.print(result.circumstances(), style="dim", soft_wrap=True)


def _write(result: BenchResult, path: Path) -> None:
    import orjson

    text = orjson.dumps(result.to_json(), option=orjson.OPT_INDENT_2).decode()
    if path == Path("-"):
        typer.echo(text)
    else:
        path.write_text(text + "\n")

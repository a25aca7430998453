"""Results of the bench at a terminal, or as the file that plots and tables are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from inferflux.bench.results import Results
    from inferflux.bench.rounds import OfflineFigure


def write(results: Results, path: Path | None) -> None:
    """A table for people; with ``path`` the results file, and the table beside it."""
    from inferflux.bench.results import encode

    if path == Path("-"):
        typer.echo(encode(results), nl=False)
        return
    _print(results)
    if path is not None:
        path.write_text(encode(results))
        typer.echo(f"{path}: the results; `inferflux report {path}` makes plots and a table")


def _print(results: Results) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if results.offline:
        console.print(_offline(results))
    for left_out in results.left_out:
        console.print(f"{left_out.key} is left out: {left_out.reason}")
    console.print(_circumstances(results), style="dim")


def _offline(results: Results) -> Table:
    from rich.table import Table

    ours, *others = results.offline[0].sides
    table = Table("measure", box=None, header_style="dim", pad_edge=False)
    table.add_column("tok/s", justify="right")
    table.add_column("low-high", justify="right", style="dim")
    for other in others:
        table.add_column(other, justify="right")
        table.add_column("ratio", justify="right")
        table.add_column("low-high", justify="right", style="dim")
    for figure in results.offline:
        speed = figure.sides[ours].speed
        cells = (f"{speed.median:,.1f}", f"{speed.low:,.1f}-{speed.high:,.1f}")
        table.add_row(figure.key, *cells, *_compared(figure))
    return table


def _compared(figure: OfflineFigure) -> Iterator[str]:
    for name, ratio in figure.ratios.items():
        yield f"{figure.sides[name].speed.median:,.1f}"
        yield f"{ratio.median:.2f}"
        yield f"{ratio.low:.2f}-{ratio.high:.2f}"


def _circumstances(results: Results) -> str:
    model, protocol = results.model, results.protocol
    return (
        f"{model.name} on {results.machine}; {model.target}, numerics {model.numerics},"
        f" {protocol.threads} threads, {protocol.steps} steps, medians of {protocol.rounds}"
    )

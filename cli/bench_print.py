"""Results of the bench at a terminal, or as the file that plots and tables are made from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from inferflux.bench.results import Results
    from inferflux.bench.roofline import RooflineResults
    from inferflux.bench.rounds import OfflineFigure
    from inferflux.bench.serving.run import ServingResults
    from inferflux.bench.serving.summary import Percentiles
    from inferflux.bench.startup import StartupFigure


_LOG_WIDTH = 160  # columns where there is no terminal to ask


def write(results: Results, path: Path | None) -> None:
    """A table for people; with ``path`` the results file, and the table beside it."""
    from inferflux.bench.results import encode

    if path == Path("-"):
        typer.echo(encode(results), nl=False)
        return
    _print(results)
    if path is not None:
        keep(results, path)
        typer.echo(f"{path}: the results; `inferflux report {path}` makes plots and a table")


def keep(results: Results, path: Path | None) -> None:
    """Write the results file, if there is to be one; a reader sees the old one or the new one."""
    from inferflux.bench.results import encode
    from inferflux.codegen.artifact.atomic import replacing

    if path is not None and path != Path("-"):
        with replacing(path) as file:
            file.write(encode(results).encode())


def _print(results: Results) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _LOG_WIDTH
    console = Console(highlight=False, soft_wrap=True, width=width)
    if results.offline:
        console.print(_offline(results))
    if results.serving is not None:
        console.print(_streams(results.serving))
        console.print(_loads(results.serving))
    if results.startup is not None:
        console.print(_startup(results.startup))
    if results.roofline is not None:
        console.print(_roofline(results.roofline))
    for left_out in results.left_out:
        console.print(f"{left_out.key} is left out: {left_out.reason}")
    console.print(_circumstances(results), style="dim")
    if results.partial:
        console.print("broken off: rounds or whole parts of what was asked for are missing")


def _offline(results: Results) -> Table:
    ours, *others = results.offline[0].sides
    compared = (column for other in others for column in (other, "ratio", "low-high"))
    table = _table("measure", "tok/s", "low-high", *compared)
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


def _streams(serving: ServingResults) -> Table:
    table = _table("served at once", "tok/s", "low-high", "of offline")
    for figure in serving.streams:
        speed = figure.speed
        share = "" if figure.share is None else f"{figure.share:.2f}"
        spread = f"{speed.low:,.1f}-{speed.high:,.1f}"
        table.add_row(f"{figure.door} {figure.measure.key}", f"{speed.median:,.1f}", spread, share)
    return table


def _loads(serving: ServingResults) -> Table:
    columns = ("tok/s", "requests/s", "good/s", "TTFT p50/p95/p99", "TPOT", "ITL")
    table = _table("load (times in ms)", *columns)
    for figure in serving.loads:
        rates = (f"{figure.throughput:,.1f}", f"{figure.answered:.2f}", f"{figure.goodput:.2f}")
        times = (_milliseconds(times) for times in (figure.ttft, figure.tpot, figure.itl))
        table.add_row(f"{figure.door} {figure.load}", *rates, *times)
    return table


def _startup(figure: StartupFigure) -> Table:
    table = _table("start to first token", "s", "low-high")
    for name, side in figure.sides.items():
        table.add_row(name, f"{side.median:.2f}", f"{side.low:.2f}-{side.high:.2f}")
    if figure.ratio is not None:
        spread = f"{figure.ratio.low:.2f}-{figure.ratio.high:.2f}"
        table.add_row("ratio", f"{figure.ratio.median:.2f}", spread)
    return table


def _roofline(found: RooflineResults) -> Table:
    roofs = found.roofs
    table = _table("phase", "tokens", "us", "GB/s", "GMAC/s", "of reading", "of computing")
    for phase in found.phases:
        speeds = (f"{phase.read_speed / 1e9:.1f}", f"{phase.compute_speed / 1e9:.1f}")
        shares = (f"{share:.2f}" for share in phase.shares(roofs))
        microseconds = f"{1e6 * phase.seconds:.1f}"
        table.add_row(phase.name, str(phase.num_tokens), microseconds, *speeds, *shares)
    table.add_row("roof of reading", "", "", f"{roofs.read / 1e9:.1f}", "", "", "")
    for arithmetic, speed in roofs.computing.items():
        table.add_row(f"roof of {arithmetic}", "", "", "", f"{speed / 1e9:.1f}", "", "")
    return table


def _milliseconds(times: Percentiles | None) -> str:
    if times is None:
        return ""
    return " ".join(f"{1000 * seconds:.1f}" for seconds in (times.p50, times.p95, times.p99))


def _table(name: str, *numbers: str) -> Table:
    """A table of a name and right-aligned numbers."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column(name, no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _circumstances(results: Results) -> str:
    model, protocol = results.model, results.protocol
    return (
        f"{model.name} on {results.machine}; {model.target}, numerics {model.numerics},"
        f" {model.kv_dtype} KV, {protocol.threads} threads, {protocol.steps} steps,"
        f" medians of {protocol.rounds}"
    )

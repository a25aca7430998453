"""`inferflux inspect`: what a model file or an artifact holds, and what a token of it costs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from inferflux.cli.options import AsJson, Model
from inferflux.cli.terminal import printable

_LOG_WIDTH = 120  # columns where there is no terminal: as wide as graphs are printed


class GraphStage(StrEnum):
    BEFORE = "before"  # as imported, layer by layer
    AFTER = "after"  # after the last pass


def inspect(
    model: Model,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    graph: Annotated[GraphStage | None, typer.Option(help="Print this graph alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model's metadata, tensors and types, its graph and its cost per token."""
    from inferflux.cli.describe import describe

    description = describe(model)
    if graph is not None:
        typer.echo(description.graph(before=graph is GraphStage.BEFORE))
    elif as_json:
        typer.echo(_json(description.facts(tensors=tensors)))
    else:
        _print(description.facts(tensors=tensors))


def _json(facts: Mapping[str, Any]) -> str:
    import orjson

    return orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode()


def _print(facts: Mapping[str, Any]) -> None:
    """Single facts first, then what has parts under headings of its own, the graph last."""
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _LOG_WIDTH)
    console.print(_pairs({key: value for key, value in facts.items() if not _has_parts(value)}))
    for heading, value in facts.items():
        if _has_parts(value):
            console.print(f"\n[bold]{heading}[/bold]")
            console.print(_pairs(value) if isinstance(value, Mapping) else _rows(value))


def _has_parts(value: object) -> bool:
    return isinstance(value, Mapping | list) or (isinstance(value, str) and "\n" in value)


def _pairs(facts: Mapping[str, object]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for key, value in facts.items():
        table.add_row(Text(_shown(key)), Text(_shown(value)))
    return table


def _rows(value: Sequence[Mapping[str, object]] | str) -> Any:
    from rich.table import Table
    from rich.text import Text

    if isinstance(value, str):
        return Text(printable(value))
    table = Table(*value[0], box=None, header_style="dim", pad_edge=False)
    for row in value:
        table.add_row(*(Text(_shown(cell)) for cell in row.values()))
    return table


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))  # metadata and names are whatever the file says

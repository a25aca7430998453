"""`inferflux inspect`: what a model holds and becomes, what it needs, how fast it should be."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from inferflux.cli.options import AsJson, MaybeModel, Quantize
from inferflux.cli.sizes import format_size
from inferflux.cli.terminal import printable

_BYTES = re.compile(r"(^|_)bytes(_|$)")  # in the names of facts
_LONGEST_KEY = 44  # characters of a key that are shown
_LOG_WIDTH = 120  # columns where there is no terminal: as wide as graphs are printed


class GraphStage(StrEnum):
    BEFORE = "before"  # as imported, layer by layer
    AFTER = "after"  # after the last pass


def inspect(
    model: MaybeModel = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    graph: Annotated[GraphStage | None, typer.Option(help="Print this graph alone.")] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Measure this machine again for the prediction."),
    ] = False,
    quantize: Quantize = None,
    supported: Annotated[
        bool, typer.Option("--supported", help="What is supported, and how that was tested.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="With --supported: as docs/supported.md.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a model's types, memory, predicted speed, cost per token, metadata and graph."""
    if supported:
        _show_supported(markdown=markdown, as_json=as_json)
        return
    if model is None:
        raise typer.BadParameter("name a model, or ask for --supported", param_hint="MODEL")
    from inferflux.cli.describe import describe

    description = describe(model, quantize)
    if graph is not None:
        typer.echo(description.graph(before=graph is GraphStage.BEFORE))
        return
    facts = description.facts(tensors=tensors, measure=measure)
    typer.echo(_json(facts)) if as_json else _print(facts)
    if description.refusal is not None:
        raise description.refusal


def _show_supported(*, markdown: bool, as_json: bool) -> None:
    from inferflux.cli.support import document, page, rows
    from inferflux.cli.support_table import sections

    if markdown:
        typer.echo(document(sections()), nl=False)
    elif as_json:
        typer.echo(_json(rows(sections())))
    else:
        _print(page(sections()))


def _json(facts: Mapping[str, Any]) -> str:
    import orjson

    return orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode()


def _print(facts: Mapping[str, Any]) -> None:
    """Single facts first, then what has parts under headings of its own."""
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
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_LONGEST_KEY)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        table.add_row(Text(printable(key)), Text(_shown(key, value)))
    return table


def _rows(value: Sequence[Mapping[str, object]] | str) -> Any:
    from rich.table import Table
    from rich.text import Text

    if isinstance(value, str):
        return Text(printable(value))
    table = Table(*value[0], box=None, header_style="dim", pad_edge=False)
    for row in value:
        table.add_row(*(Text(_shown(key, cell)) for key, cell in row.items()))
    return table


def _shown(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(key, each)}" for name, each in value.items())
    if isinstance(value, int) and not isinstance(value, bool):
        return format_size(value) if _BYTES.search(key) else f"{value:,}"
    return printable(str(value))  # metadata and names are whatever the file says

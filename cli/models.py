"""`inferctl models`: what the local store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from inferflux.cli.options import AsJson

if TYPE_CHECKING:
    from inferflux.cli.store import StoredModel

_SHOWN = 12  # characters of a digest or a revision


def models(as_json: AsJson = False) -> None:
    """List the models on this machine: name, size, digest, source and its revision."""
    from inferflux.cli import store

    stored = store.models()
    if as_json:
        _print_json(stored)
    elif stored:
        _print_table(stored)
    else:
        typer.echo(f"no models yet; `inferctl pull` knows {', '.join(store.CATALOGUE)}", err=True)


def _print_json(stored: list[StoredModel]) -> None:
    import orjson

    from inferflux.cli.pull import model_facts

    rows = [model_facts(model) for model in stored]
    typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())


def _print_table(stored: list[StoredModel]) -> None:
    """Sources last: they are long, and where they are too long they are what is folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from inferflux.cli.sizes import format_size
    from inferflux.cli.terminal import printable

    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("name", "size", "sha256", "revision"):
        table.add_column(heading, no_wrap=True)
    table.add_column("source", overflow="fold")
    for model in stored:
        revision = model.revision.strip('"')
        cells = (
            model.name,
            format_size(model.nbytes),
            model.digest[:_SHOWN],
            revision[:_SHOWN] or "-",
            model.source,
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console(highlight=False).print(table)

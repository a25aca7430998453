"""`inferctl models`: what the local store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from inferflux.cli.options import AsJson

if TYPE_CHECKING:
    from inferflux.cli.store import StoredModel


def models(as_json: AsJson = False) -> None:
    """List the models on this machine: name, size, tensor types, path."""
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

    rows = [_row(model) for model in stored]
    typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())


def _row(model: StoredModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": str(model.path),
        "bytes": model.nbytes,
        "types": dict(model.types),
    }


def _print_table(stored: list[StoredModel]) -> None:
    from rich.console import Console
    from rich.table import Table

    from inferflux.cli.sizes import format_size

    table = Table("name", "size", "types", "path", box=None, header_style="dim", pad_edge=False)
    for model in stored:
        types = ", ".join(f"{count} {kind}" for kind, count in model.types.items())
        table.add_row(model.name, format_size(model.nbytes), types, str(model.path))
    Console(highlight=False, soft_wrap=True).print(table)

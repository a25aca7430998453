"""`inferctl gc`: what nothing leads to any more, out of the cache."""

from __future__ import annotations

from typing import Annotated

import typer


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
) -> None:
    """Remove broken-off pulls, files of no model, and artifacts whose model file is gone."""
    from inferflux.cli import store
    from inferflux.cli.sizes import format_size

    swept = store.sweep(dry_run=dry_run)
    for item in swept:
        typer.echo(f"{format_size(item.nbytes):>9}  {item.path}  ({item.why})")
    total = format_size(sum(item.nbytes for item in swept))
    typer.echo(f"{total} {'would be' if dry_run else 'was'} freed", err=True)

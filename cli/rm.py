"""`inferctl rm`: a model out of the local store."""

from __future__ import annotations

from typing import Annotated

import typer


def rm(name: Annotated[str, typer.Argument(help="Name of a model in the store.")]) -> None:
    """Remove a model; files that another name has too are kept."""
    from inferflux.cli import store
    from inferflux.cli.sizes import format_size

    freed = store.remove(name)
    typer.echo(f"removed {name}, {format_size(freed)} freed", err=True)

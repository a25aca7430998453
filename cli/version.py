"""The `--version` option of both commands."""

from __future__ import annotations

import typer

from inferflux import __version__


def show_version(asked: bool) -> None:
    """Print the version and leave, if asked."""
    if asked:
        typer.echo(__version__)
        raise typer.Exit

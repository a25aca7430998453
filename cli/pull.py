"""`inferctl pull`: a model into the local store."""

from __future__ import annotations

from typing import Annotated

import typer


def pull(name: Annotated[str, typer.Argument(help="Model name, e.g. smollm2-135m.")]) -> None:
    """Fetch a model, check its digest, and keep it."""
    from inferflux.cli import store
    from inferflux.cli.progress import build_progress
    from inferflux.cli.sizes import format_size

    with build_progress() as report:
        path = store.pull(name, report.stage)
    typer.echo(str(path))
    model = store.CATALOGUE[name]
    typer.echo(f"{name}  {format_size(model.nbytes)}  sha256:{model.sha256}  verified", err=True)

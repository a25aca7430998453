"""`inferctl`: the local model store."""

from __future__ import annotations

import typer

from inferflux.cli import errors
from inferflux.cli.models import models
from inferflux.cli.pull import pull
from inferflux.cli.synth import synth
from inferflux.cli.version import show_version

app = typer.Typer(
    name="inferctl",
    help="Keep the models on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Keep the models on this machine."""


app.command("pull")(pull)
app.command("models")(models)
app.command("synth")(synth)


def main() -> None:
    """Entry point of the `inferctl` command."""
    errors.run(app)

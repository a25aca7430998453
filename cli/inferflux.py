"""`inferflux`: one model or artifact on this machine."""

from __future__ import annotations

import typer

from inferflux.cli import errors
from inferflux.cli.bench import bench
from inferflux.cli.compile import compile_
from inferflux.cli.inspect import inspect
from inferflux.cli.report import report
from inferflux.cli.run import run
from inferflux.cli.serve import serve
from inferflux.cli.tune import tune
from inferflux.cli.version import show_version

app = typer.Typer(
    name="inferflux",
    help="Compile a language model once, run it, measure it, serve it.",
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
    """Compile a language model once, run it, measure it, serve it."""


app.command("compile")(compile_)
app.command("tune")(tune)
app.command("inspect")(inspect)
app.command("run")(run)
app.command("serve")(serve)
app.command("bench")(bench)
app.command("report")(report)


def main() -> None:
    """Entry point of the `inferflux` command."""
    errors.run(app)

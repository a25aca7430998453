"""The one place where an error becomes what a person at a terminal sees."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import typer

from inferflux.cli.terminal import printable
from inferflux.errors import InferFluxError, InvalidArgument

FAILED, USAGE = 1, 2

# What to try next, by the error's stable code; the message itself already says what and where.
HINTS: Mapping[str, str] = {
    "unknown_model": "`inferctl models` lists what is here; a path to a .gguf file works too",
    "unsupported_model": "`inferflux inspect MODEL` shows what the file holds",
    "unsupported_on_target": "compile with another --target; `cpu:portable` runs everywhere",
    "disk_full": "`inferctl gc --dry-run` shows what nothing leads to any more",
    "invalid_artifact": "compile it again: `inferflux compile MODEL -o OUT.ifx`",
    "unsupported_machine": "compile it for this machine, or for `--target cpu:portable`",
}


def run(app: typer.Typer, context: object = None) -> None:
    """Run a command line: every expected failure is one line on stderr and an exit code.

    Its commands find ``context`` in typer's. Typer itself ends usage errors with 2, Ctrl-C with 130
    and a closed pipe quietly.
    """
    try:
        app(obj=context)
    except InferFluxError as error:
        report(str(error), HINTS.get(error.code))
        sys.exit(USAGE if isinstance(error, InvalidArgument) else FAILED)
    except OSError as error:  # a full disk, a directory that may not be written
        report(f"{error.filename or 'input/output'}: {error.strerror or error}")
        sys.exit(FAILED)


def report(message: str, hint: str | None = None) -> None:
    """Print one red line, and below it what to do, on stderr."""
    red = sys.stderr.isatty()
    line = " ".join(printable(message).split())
    typer.secho(f"error: {line}", err=True, fg="red" if red else None)
    if hint:
        typer.echo(f"  hint: {hint}", err=True)

"""`inferflux`: one model or artifact on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

from inferflux.cli import errors
from inferflux.cli.command_line import command_line

if TYPE_CHECKING:
    from inferflux.engine.launch import Launched

COMMANDS: Final = {
    "compile": "inferflux.cli.compile:compile_",
    "tune": "inferflux.cli.tune:tune",
    "inspect": "inferflux.cli.inspect:inspect",
    "run": "inferflux.cli.run:run",
    "serve": "inferflux.cli.serve:serve",
    "bench": "inferflux.cli.bench:bench",
    "report": "inferflux.cli.report:report",
}
_SUMMARY: Final = "Compile a language model once, run it, measure it, serve it."


def app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Its commands, or the one that ``arguments`` name."""
    return command_line("inferflux", _SUMMARY, COMMANDS, arguments)


def main(launched: Launched | None = None) -> None:
    """Run the command line.  ``launched``: an engine's process, for `serve` to use."""
    errors.run(app(sys.argv[1:]), launched)

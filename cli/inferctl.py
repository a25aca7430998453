"""`inferctl`: the local model store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import typer

from inferflux.cli import errors
from inferflux.cli.command_line import command_line

COMMANDS: Final = {
    "pull": "inferflux.cli.pull:pull",
    "models": "inferflux.cli.models:models",
    "rm": "inferflux.cli.rm:rm",
    "gc": "inferflux.cli.gc:gc",
    "synth": "inferflux.cli.synth:synth",
}


def app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Its commands, or the one that ``arguments`` name."""
    return command_line("inferctl", "Keep the models on this machine.", COMMANDS, arguments)


def main() -> None:
    """Entry point of the `inferctl` command."""
    errors.run(app(sys.argv[1:]))

"""A command line of several commands, of which only the one that is named is imported."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

from inferflux.cli.version import show_version

Commands = Mapping[str, str]  # name -> "module:function"


def command_line(
    program: str, summary: str, commands: Commands, arguments: Sequence[str] = ()
) -> typer.Typer:
    """All commands, or the one that ``arguments`` name: that takes a tenth of the time."""
    app = typer.Typer(
        name=program, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    app.callback(help=summary)(options)
    for name in _named(commands, arguments):
        app.command(name)(_function(commands[name]))
    return app


def options(
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """What may stand before a command's name."""


def _named(commands: Commands, arguments: Sequence[str]) -> Iterable[str]:
    """No option before a command's name takes a value, so the name is the first that is none."""
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    return [name] if name in commands else commands


def _function(where: str) -> Callable[..., Any]:
    module, _, name = where.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function

"""Progress as a person sees it: bars on a terminal, plain lines in a log; always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


class BuildProgress:
    """A build report: one bar that says what is being done, with notes above it.

    Where stderr is no terminal each stage is one line when it begins, so that a log reads well.
    """

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console = console
        self._bar = bar
        self._task: TaskID | None = None
        self._stage = ""

    def stage(self, name: str, fraction: float) -> None:
        if name != self._stage and not self._console.is_terminal:
            self.note(f"  {name} ...")
        self._stage = name
        if self._task is None:
            self._task = self._bar.add_task(name, total=1.0)
        self._bar.update(self._task, description=name, completed=fraction)

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)


@contextmanager
def build_progress() -> Iterator[BuildProgress]:
    """Show a build's progress on stderr for as long as the block runs."""
    console = Console(file=sys.stderr, soft_wrap=True)
    stage = TextColumn("  {task.description}")
    columns = (stage, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield BuildProgress(console, bar)

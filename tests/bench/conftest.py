"""What tests of the bench share: a results file, an event loop whose time only sleeping moves."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

RunVirtually = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def results_file() -> Path:
    """A small file as `inferflux bench` writes it, of made-up figures."""
    return Path(__file__).with_name("results.json")


class _SkippingSelector(selectors.DefaultSelector):
    """Does not wait: it tells the loop that the time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


@pytest.fixture
def run_virtually() -> RunVirtually:
    """``run_virtually(coroutine)``: its result, with every sleep over at once and counted."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
            return runner.run(coroutine)

    return run

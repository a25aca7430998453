"""What measuring asks of a machine; the commands hand one in, so that codegen needs no runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from inferflux.codegen.artifact.compiled import CompiledModel, CpuStep
from inferflux.codegen.autotune.table import DeviceFacts

Array = np.ndarray[Any, np.dtype[Any]]
Launch = Callable[[], float]
StepTimer = Callable[[int, int], float]  # (which variant, number of tokens) -> seconds of a step


class Device(Protocol):
    """A machine that runs compiled steps on its workers."""

    @property
    def facts(self) -> DeviceFacts: ...

    @property
    def machine(self) -> str:
        """Which of a target's objects it runs: "x86_64", "aarch64"."""
        ...

    def load(
        self, code: bytes, step: CpuStep, buffers: Mapping[str, Array], scalars: Sequence[int]
    ) -> Launch:
        """Link a step of one variant to its arguments; a launch runs it and gives its seconds.

        The buffers stay where they are, aligned as steps want them; ``sync`` the device has itself.
        ``scalars`` are the step's, but for the worker's number.
        """
        ...

    def steps(self, model: CompiledModel, target: str) -> StepTimer:
        """Make a model ready to be run in any of a target's variants, for any number of tokens.

        A step of few tokens is one each of as many sequences, of more it is a part of a prompt.
        """
        ...

    def now(self) -> float:
        """Seconds, of the clock that budgets are counted by."""
        ...

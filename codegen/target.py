"""A target: a place kernels run, as a value with facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferflux.errors import InferFluxError


class UnsupportedOnTarget(InferFluxError):
    """The target has no kernel, dtype or shape for what the graph asks."""

    code = "unsupported_on_target"

    def __init__(self, target: str, what: str) -> None:
        super().__init__(f"{target} cannot run {what}")


@dataclass(frozen=True, slots=True)
class CpuTarget:
    """A level of CPU.  ``machines`` are those it has an object for, with LLVM's words for each."""

    name: str
    machines: Mapping[str, Mapping[str, object]]  # machine -> TVM's target
    features: tuple[str, ...]  # what /proc/cpuinfo must list
    row_blocks: tuple[int, ...]  # rows computed together, one step function for each
    dots: str = "float"  # what multiplies packed integers, a word of targets/words/dots.py
    native_half: bool = False  # it converts vectors of f16

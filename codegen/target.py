"""A target: a place kernels run, as a value with facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferflux.errors import InferFluxError
from inferflux.kernels.kernel import StepShape
from inferflux.kernels.linear.tiles import TILE_ROWS


class UnsupportedOnTarget(InferFluxError):
    """The target has no kernel, dtype or shape for what the graph asks."""

    code = "unsupported_on_target"

    def __init__(self, target: str, what: str) -> None:
        super().__init__(f"{target} cannot run {what}")


MAX_STEP_TOKENS = 512


@dataclass(frozen=True, slots=True)
class CpuTarget:
    """A level of CPU.  ``machines`` are those it has an object for, with LLVM's words for each."""

    name: str
    machines: Mapping[str, Mapping[str, object]]  # machine -> TVM's target
    features: tuple[str, ...]  # what /proc/cpuinfo must list
    row_blocks: tuple[int, ...]  # rows computed together, one step function for each
    panels: StepShape | None = None  # of the step whose products are of bf16, where it has those
    dots: str = "float"  # what multiplies packed integers: a name of words.DOTS
    tables: str = ""  # what looks up bytes: a name of words.TABLES; compares, where nothing does
    tiles: str = ""  # what multiplies matrices, a word of targets/words/tiles.py
    native_half: bool = False  # it converts vectors of f16
    registers: int = 32  # vectors of 16 floats that they hold

    def __str__(self) -> str:
        return self.name

    def shapes(self, arithmetic: str) -> tuple[StepShape, ...]:
        """The variants of the step whose products are computed in ``arithmetic``."""
        if arithmetic == "bf16":
            return (self.panels,) if self.panels else ()
        blocks = [b for b in self.row_blocks if b < TILE_ROWS or arithmetic == "i8x32"]
        starts = (1, *(block + 1 for block in blocks[:-1]))
        limits = (*blocks[:-1], MAX_STEP_TOKENS)
        return tuple(
            StepShape(block, limit, min_tokens=start, registers=self.registers)
            for block, limit, start in zip(blocks, limits, starts, strict=True)
        )

"""A tuning record: the schedule a phase ran fastest with, on what, and how sure that is."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass

from inferflux.codegen.keys import Key
from inferflux.codegen.templates import template_text
from inferflux.ir.graph import Node
from inferflux.kernels.kernel import Kernel, Schedule, StepShape

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TuningKey(Key):
    """What a record is about, and what it was found out with."""

    target: str
    op: str
    types: str
    attrs: str
    shape: str  # of the step: what is computed together
    toolchain: str
    template: str  # digest

    @property
    def place(self) -> Place:
        """What the record is about.  The other factors say whether it still holds."""
        return (self.target, self.op, self.types, self.attrs, self.shape)


@dataclass(frozen=True, slots=True)
class Record:
    """The fastest schedule of one phase.  Times are of the phase once, on all workers."""

    key: TuningKey
    schedule: Schedule
    num_tokens: int  # of the measured steps
    num_candidates: int  # that were measured
    num_measurements: int  # of this schedule
    median_us: float
    spread: float  # of the middle half of the measurements, as a share of the median
    default_us: float  # median of the family's default, measured between the others


def tuning_key(kernel: Kernel, node: Node, shape: StepShape, target: str) -> TuningKey:
    """The key of a phase: equal for equal phases of different models."""
    return TuningKey(
        target=target,
        op=node.op.name,
        types=" ".join(str(value.type) for value in (*node.inputs, *node.results)),
        attrs=" ".join(f"{name}={value}" for name, value in sorted(node.attrs.items())),
        shape=_shape(shape),
        toolchain=toolchain(),
        template=template_digest(kernel.template),
    )


def toolchain() -> str:
    """What compiles phases, as far as it decides how fast they are."""
    return f"apache-tvm {importlib.metadata.version('apache-tvm')}"


def _shape(shape: StepShape) -> str:
    """What is computed together; the tokens a variant takes do not change how it computes them."""
    chunk = f" row_blocks={shape.row_blocks}" if shape.row_blocks > 1 else ""
    return f"row_block={shape.row_block}{chunk}"


def template_digest(template: str) -> str:
    """The first half of sha256 over a template and all that it imports."""
    return hashlib.sha256(template_text(template).encode()).hexdigest()[:32]

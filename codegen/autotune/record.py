"""A tuning record: the schedule a phase ran fastest with, on what, and how sure that is."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from inferflux.codegen.autotune.own_text import own_digest
from inferflux.codegen.keys import Key
from inferflux.ir.graph import Node
from inferflux.kernels.kernel import Kernel, Schedule, StepShape

Place = tuple[str, str, str, str, str]  # target, op, types, attrs, shape


@dataclass(frozen=True, slots=True)
class TuningKey(Key):
    """What a record is about, and what it was found out with."""

    target: str
    op: str
    types: str
    attrs: str
    shape: str  # of the step: what is computed together
    toolchain: str
    text: str  # digest of what was measured

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


def phase_place(node: Node, shape: StepShape, target: str) -> Place:
    """What a record of a phase is about: equal for equal phases of different models.

    Attributes at their default are left out, so that records outlive an op's new ones.
    """
    types = " ".join(str(value.type) for value in (*node.inputs, *node.results))
    defaults = node.op.defaults
    stated = {name: value for name, value in node.attrs.items() if value != defaults.get(name, ...)}
    attrs = " ".join(f"{name}={value}" for name, value in sorted(stated.items()))
    return (target, node.op.name, types, attrs, _shape(shape))


def tuning_key(kernel: Kernel, node: Node, shape: StepShape, target: str) -> TuningKey:
    """The key of a phase.  Its text is written for it: ask only where there is a record."""
    place = phase_place(node, shape, target)
    return key_at(place, own_digest(kernel, node, shape, target))


def key_at(place: Place, text: str) -> TuningKey:
    """The key that a record of a place has if it is made now."""
    return TuningKey(*place, toolchain(), text)


def toolchain() -> str:
    """What compiles phases, as far as it decides how fast they are."""
    return f"apache-tvm {importlib.metadata.version('apache-tvm')}"


def _shape(shape: StepShape) -> str:
    """What is computed together; the tokens a variant takes do not change how it computes them."""
    chunk = f" row_blocks={shape.row_blocks}" if shape.row_blocks > 1 else ""
    return f"row_block={shape.row_block}{chunk}"

"""The text of a phase by itself: what its tuning record was found out with, and is held to.

A record must outlive what has nothing to do with its phase: another tensor type in a template's
macros, another model around it. So it is not held to the template but to what the template gives
for its node, each value in a place that is its own and no model's, cut as the family likes.

The words of the text are left out. They are instructions of the machine, the same in all that
raced, and a stale record costs more than one that is a little off: what it says is always right,
for a schedule changes the speed and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from inferflux.codegen.memory import MemoryPlan, input_operand, padded
from inferflux.codegen.phase_body import phase_body
from inferflux.codegen.select import Layers, Phase, default_schedule
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.weights import weight_operand
from inferflux.ir.graph import Node, Stacked, Value
from inferflux.ir.types import BF16, F32, I8X32, I8X256
from inferflux.kernels.kernel import Kernel, StepShape
from inferflux.kernels.storage import BfloatRows, FloatRows, Int8Rows, Operand, SuperRows

DIGITS = 32  # of sha256, the first half
PARTS = 6  # of int8 rows, each in a place of its own


def own_text(kernel: Kernel, node: Node, shape: StepShape, target: str) -> str:
    """The number of pieces and the body of one, without comments."""
    phase = Phase(node, kernel, shape, default_schedule(kernel, node, shape, target))
    memory = MemoryPlan(dict(_places(node)), worker_scratch="scratch", worker_panels="panels")
    stacked = [attr.name for attr in node.attrs.values() if isinstance(attr, Stacked)]
    names = {name: f"this_{name}" for name in stacked}
    body = phase_body(phase, TARGETS[target], memory, names)
    lines = (kernel.pieces(node, phase.schedule), *body.splitlines())
    return "\n".join(line for line in lines if line.strip() and line.strip()[0] != "#")


def own_digest(kernel: Kernel, node: Node, shape: StepShape, target: str) -> str:
    """Of the text of one phase."""
    return _digest([own_text(kernel, node, shape, target)])


def step_digest(steps: Iterable[Iterable[Phase | Layers]], target: str) -> str:
    """Of the texts of a step's variants: of the phases that are tuned, the others take no time."""
    phases = (phase for step in steps for item in step for phase in _phases(item))
    return _digest(
        own_text(phase.kernel, phase.node, phase.shape, target)
        for phase in phases
        if has_choice(phase.kernel, phase.node, phase.shape)
    )


def has_choice(kernel: Kernel, node: Node, shape: StepShape) -> bool:
    """Whether there is more than one way to cut a phase."""
    return len(list(islice(kernel.schedules(node, shape), 2))) > 1


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:DIGITS]


def _phases(item: Phase | Layers) -> Iterator[Phase]:
    if isinstance(item, Phase):
        yield item
    else:
        yield from (phase for body in item.bodies for phase in body)


def _places(node: Node) -> Iterator[tuple[Value, Operand]]:
    """A place for each value, told from the others by a number or by what the op calls it."""
    given: dict[Value, Operand] = {}
    for number, (name, value) in enumerate(_values(node)):
        if value not in given:
            again = value.updated and given.get(value.updated)
            given[value] = again or _place(name, value, number * PARTS)
    return iter(given.items())


def _values(node: Node) -> Iterator[tuple[str, Value]]:
    yield from zip(node.op.parameters, node.inputs, strict=False)  # the last may be left out
    yield from zip(node.op.results, node.results, strict=True)


def _place(name: str, value: Value, number: int) -> Operand:
    match value.type.shape:
        case ("T" | "R", int(width)) if value.type.dtype == BF16:
            return BfloatRows(width, number)
        case ("T" | "R", int(width)) if value.type.dtype == F32:
            return FloatRows(width, number, padded(width))
        case ("T" | "R", int(width)) if value.type.dtype == I8X32:
            parts = range(number, number + PARTS)
            return Int8Rows(width, parts[0], parts[1], parts[2], parts[3], (parts[4], parts[5]))
        case ("T" | "R", int(width)) if value.type.dtype == I8X256:
            return SuperRows(width, number, number + 1, number + 2, half_sums=number + 3)
        case shape if all(isinstance(dim, int) for dim in shape):
            return weight_operand(value, name)
        case _:  # pages, or an array of the step's
            return input_operand(replace(value, hint=name))

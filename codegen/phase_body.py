"""A phase body as text: a kernel's template with operands, attributes and schedule filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferflux.codegen.memory import MemoryPlan
from inferflux.codegen.select import Phase
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.templates import render
from inferflux.ir.graph import Attr, Stacked
from inferflux.kernels.cut import chunks_of, rows_of
from inferflux.kernels.kernel import Schedule, StepShape
from inferflux.kernels.linear.tiles import TILE_ROWS
from inferflux.kernels.storage import Operand, Pages


def phase_body(
    phase: Phase, target: CpuTarget, memory: MemoryPlan, names: Mapping[str, str]
) -> str:
    """The text of one piece of a phase.

    Args:
        memory: where the values of the phase's node lie.
        names: what the text calls the attributes, or stacked ones, that it is handed.
    """
    operands = dict(_operands(phase, memory))
    attrs = {name: _attr(name, value, names) for name, value in phase.node.attrs.items()}
    return render(
        phase.kernel.template,
        {
            **operands,
            **attrs,
            **phase.schedule,
            **phase.kernel.parameters(operands, phase.schedule),
            "row_count": rows_of(phase.node),
            "row_chunks": chunks_of(phase.node, phase.schedule),
            "scratch": memory.worker_scratch,
            "panels": memory.worker_panels,
            "partials": memory.shared_scratch,
            "by_tiles": has_tiles(target, phase.shape),
            "has_few_registers": phase.shape.has_few_registers,
            "each_row": _each_row(phase.schedule),
        },
    )


def has_tiles(target: CpuTarget, shape: StepShape) -> bool:
    """Whether products of so many rows are the tiles'."""
    return bool(target.tiles) and shape.row_block >= TILE_ROWS


def _operands(phase: Phase, memory: MemoryPlan) -> Iterator[tuple[str, Operand]]:
    node = phase.node
    for name, value in node.operands.items():
        yield name, memory.operands[value]
    for name, value in zip(phase.kernel.results, node.results, strict=True):
        operand = memory.operands[value]
        if not isinstance(operand, Pages):
            yield name, operand


def _each_row(schedule: Schedule) -> str:
    """A loop over the rows of a block: over many it stays one, their sums are in memory."""
    rows = schedule.get("row_block", 1)
    return f"T.serial({rows})" if rows >= TILE_ROWS else f"T.unroll({rows})"


def _attr(name: str, value: Attr, names: Mapping[str, str]) -> Attr:
    return names[value.name] if isinstance(value, Stacked) else names.get(name, value)

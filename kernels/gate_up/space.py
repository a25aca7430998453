"""gate_up, gate_up_quantise: the two projections of an MLP and what joins them, in units of 32."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.kernel import Kernel, Schedule, StepShape, blocks_of, no_parameters, rows_of
from inferflux.kernels.linear.space import PIECES, PREFETCH

UNIT = 32  # outputs: one block of quantised activations


def unit_groups(node: Node, shape: StepShape) -> Iterator[Schedule]:
    """Units of a piece, from the size that makes PIECES pieces of one row block downwards."""
    group = max(1, _units(node) // PIECES) if shape.row_block < 8 else 1
    while group:
        yield {"row_block": shape.row_block, "units": group, "prefetch": PREFETCH}
        group //= 2


def unit_pieces(node: Node, schedule: Schedule) -> str:
    groups = -(-_units(node) // schedule["units"])
    return f"{blocks_of(rows_of(node), schedule['row_block'])} * {groups}"


def _units(node: Node) -> int:
    columns = node.results[0].type.shape[-1]
    assert isinstance(columns, int), "the width of an MLP is static"
    return -(-columns // UNIT)


KERNELS = tuple(
    Kernel(op, "gate_up/cpu.j2", ("out",), unit_groups, unit_pieces, no_parameters)
    for op in (ops.gate_up, ops.gate_up_quantise)
)

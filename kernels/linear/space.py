"""linear, linear_residual: out = x @ W^T (+ residual), cut into row blocks times panel groups."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.kernel import Kernel, Schedule, StepShape, blocks_of, no_parameters, rows_of
from inferflux.kernels.storage import LANES

PIECES = 16  # of one row block: enough that two workers end together, few enough to claim cheaply
PREFETCH = 2560  # bytes: about what one core has in flight


def panel_groups(node: Node, shape: StepShape) -> Iterator[Schedule]:
    """Panels of a piece, from the size that makes PIECES pieces of one row block downwards."""
    panels = _panels(node)
    group = max(1, panels // PIECES) if shape.row_block < 8 else 1
    while group:
        yield {"row_block": shape.row_block, "panels": group, "prefetch": PREFETCH}
        group //= 2


def panel_pieces(node: Node, schedule: Schedule) -> str:
    groups = -(-_panels(node) // schedule["panels"])
    return f"{blocks_of(rows_of(node), schedule['row_block'])} * {groups}"


def _panels(node: Node) -> int:
    columns = node.results[0].type.shape[-1]
    assert isinstance(columns, int), "the width of a linear is static"
    return -(-columns // LANES)


KERNELS = tuple(
    Kernel(op, "linear/cpu.j2", ("out",), panel_groups, panel_pieces, no_parameters)
    for op in (ops.linear, ops.linear_residual)
)

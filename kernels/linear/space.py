"""linear, linear_residual: out = x @ W^T (+ residual), cut into row blocks times panel groups."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.cut import grouped, grouped_pieces, width_of
from inferflux.kernels.kernel import Kernel, Schedule, StepShape, no_parameters
from inferflux.kernels.storage import LANES


def panel_groups(node: Node, shape: StepShape) -> Iterator[Schedule]:
    return grouped(_panels(node), "panels", shape)


def panel_pieces(node: Node, schedule: Schedule) -> str:
    return grouped_pieces(node, _panels(node), "panels", schedule)


def _panels(node: Node) -> int:
    return -(-width_of(node) // LANES)


KERNELS = tuple(
    Kernel(op, "linear/cpu.j2", ("out",), panel_groups, panel_pieces, no_parameters)
    for op in (ops.linear, ops.linear_residual)
)

"""linear, linear_residual: out = x @ W^T (+ residual): row blocks times units of 32 outputs."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.cut import grouped, grouped_pieces, units_of
from inferflux.kernels.kernel import Kernel, Schedule, StepShape, no_parameters


def unit_groups(node: Node, shape: StepShape) -> Iterator[Schedule]:
    return grouped(node, units_of(node), shape)


def unit_pieces(node: Node, schedule: Schedule) -> str:
    return grouped_pieces(node, units_of(node), schedule)


KERNELS = tuple(
    Kernel(op, "linear/cpu.j2", ("out",), unit_groups, unit_pieces, no_parameters)
    for op in (ops.linear, ops.linear_residual)
)

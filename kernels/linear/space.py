"""linear, linear_residual, linear_then: products and what follows: row blocks times units of 32."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.ir.ops.computed import OPERANDS
from inferflux.kernels.cut import grouped, grouped_pieces, units_of
from inferflux.kernels.elementwise.space import computing
from inferflux.kernels.kernel import Kernel, Schedule, StepShape, no_parameters


def unit_groups(node: Node, shape: StepShape) -> Iterator[Schedule]:
    return grouped(node, units_of(node), shape)


def unit_pieces(node: Node, schedule: Schedule) -> str:
    return grouped_pieces(node, units_of(node), schedule)


KERNELS = (
    Kernel(ops.linear, "linear/cpu.j2", ("out",), unit_groups, unit_pieces, no_parameters),
    Kernel(
        ops.linear_residual,
        "linear/cpu.j2",
        ("out",),
        unit_groups,
        unit_pieces,
        no_parameters,
        overwrites=("residual",),
    ),
    Kernel(
        ops.linear_then,
        "linear/then_cpu.j2",
        ("out",),
        unit_groups,
        unit_pieces,
        computing,
        overwrites=OPERANDS,
    ),
)

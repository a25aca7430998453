"""linear_heads, join_heads: products of each head with its own matrix, heads put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.cut import grouped, grouped_pieces, row_pieces, units_of, whole_rows
from inferflux.kernels.kernel import Kernel, Schedule, StepShape, no_parameters
from inferflux.kernels.storage import ExpertPanels, FloatRows, Operand


def unit_groups(node: Node, shape: StepShape) -> Iterator[Schedule]:
    return grouped(node, units_of(node), shape)


def unit_pieces(node: Node, schedule: Schedule) -> str:
    return grouped_pieces(node, units_of(node), schedule)


def rows_of_heads(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    """``x_of_head``: the part of every row that meets ``matrix``."""
    x, weight = operands["x"], operands["weight"]
    assert isinstance(x, FloatRows)
    assert isinstance(weight, ExpertPanels)
    own = replace(x, columns=weight.columns, shift=f" + matrix * {weight.columns}")
    return {"num_heads": x.columns // weight.columns, "x_of_head": own}


KERNELS = (
    Kernel(ops.linear_heads, "heads/linear.j2", ("out",), unit_groups, unit_pieces, rows_of_heads),
    Kernel(ops.join_heads, "heads/join.j2", ("out",), whole_rows, row_pieces, no_parameters),
)

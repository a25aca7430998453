"""qkv_rope_append: three projections, RoPE and the write into pages, in units of 32 outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.cut import grouped, grouped_pieces
from inferflux.kernels.kernel import Kernel, Schedule, StepShape
from inferflux.kernels.storage import UNIT, Operand, Panels


def unit_groups(node: Node, shape: StepShape) -> Iterator[Schedule]:
    return grouped(node, _units(node), shape)


def unit_pieces(node: Node, schedule: Schedule) -> str:
    return grouped_pieces(node, _units(node), schedule)


def unit_counts(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    queries, keys = operands["wq"], operands["wk"]
    assert isinstance(queries, Panels)
    assert isinstance(keys, Panels)
    return {"q_units": queries.rows // UNIT, "kv_units": keys.rows // UNIT}


def _units(node: Node) -> int:
    rows = [weight.type.shape[0] for weight in node.inputs[3:6]]  # wq, wk, wv
    return sum(dim for dim in rows if isinstance(dim, int)) // UNIT


KERNELS = (
    Kernel(
        ops.qkv_rope_append,
        "qkv/cpu.j2",
        ("out", "keys_after", "values_after"),
        unit_groups,
        unit_pieces,
        unit_counts,
    ),
)

"""append_keys, append_values: one token is one piece."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.cut import part_heads, whole_rows
from inferflux.kernels.kernel import Kernel, Schedule
from inferflux.kernels.storage import Operand


def token_pieces(node: Node, schedule: Schedule) -> str:
    return "num_tokens"


def orientation(
    operands: Mapping[str, Operand], schedule: Schedule, *, transposed: bool
) -> Mapping[str, object]:
    return {"transposed": transposed}


KERNELS = tuple(
    Kernel(
        op,
        "append/cpu.j2",
        ("after",),
        whole_rows,
        token_pieces,
        partial(orientation, transposed=transposed),
        refuses=part_heads,
    )
    for op, transposed in ((ops.append_keys, True), (ops.append_values, False))
)

"""rope by rows; rope_append by KV heads of rows, each with the query heads that read it."""

from __future__ import annotations

from collections.abc import Mapping

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.cut import part_heads, row_pieces, whole_rows
from inferflux.kernels.kernel import Kernel, Schedule, Scratch, no_parameters
from inferflux.kernels.storage import FloatRows, Operand, Pages


def kv_head_pieces(node: Node, schedule: Schedule) -> str:
    return f"num_tokens * {node.operands['keys'].type.shape[2]}"


def one_head(node: Node) -> Scratch:
    """A worker's: the head that it turns."""
    head_dim = node.attrs["head_dim"]
    assert isinstance(head_dim, int)
    return Scratch(worker=head_dim)


def group_of_heads(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    queries, keys = operands["q"], operands["keys"]
    assert isinstance(queries, FloatRows)
    assert isinstance(keys, Pages)
    group = queries.columns // (keys.kv_heads * keys.head_dim)
    return {"kv_heads": keys.kv_heads, "group": group}


KERNELS = (
    Kernel(ops.rope, "rope/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(
        ops.rope_append,
        "rope/append_cpu.j2",
        ("out", "keys_after", "values_after"),
        whole_rows,
        kv_head_pieces,
        group_of_heads,
        one_head,
        overwrites=("q",),
        refuses=part_heads,
    ),
)

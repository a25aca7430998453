"""attention, attention_quantise: one token and a few query heads of one KV head are a piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.cut import rows_of, width_of
from inferflux.kernels.kernel import Kernel, Schedule, StepShape
from inferflux.kernels.storage import LANES, FloatRows, Operand, Pages

ACCUMULATORS = 16  # vectors of output a piece may hold: half of the registers there are


def head_splits(node: Node, shape: StepShape) -> Iterator[Schedule]:
    """Query heads of a piece: as many of a KV head's as keep their outputs in registers."""
    head_dim = node.attrs["head_dim"]
    assert isinstance(head_dim, int)
    group = _query_heads(node) // _kv_heads(node)
    for heads in range(group, 0, -1):
        if group % heads == 0 and (heads * head_dim // LANES <= ACCUMULATORS or heads == 1):
            yield {"heads": heads}


def head_pieces(node: Node, schedule: Schedule) -> str:
    return f"{rows_of(node)} * {_query_heads(node) // schedule['heads']}"


def head_units(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    queries, keys = operands["q"], operands["keys"]
    assert isinstance(queries, FloatRows)
    assert isinstance(keys, Pages)
    num_heads = queries.columns // keys.head_dim
    units = num_heads // schedule["heads"]
    return {"units": units, "splits": units // keys.kv_heads}


def _query_heads(node: Node) -> int:
    head_dim = node.attrs["head_dim"]
    assert isinstance(head_dim, int)
    return width_of(node) // head_dim


def _kv_heads(node: Node) -> int:
    heads = node.inputs[1].type.shape[2]
    assert isinstance(heads, int)
    return heads


KERNELS = tuple(
    Kernel(op, "attention/cpu.j2", ("out",), head_splits, head_pieces, head_units)
    for op in (ops.attention, ops.attention_quantise)
)

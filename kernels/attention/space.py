"""attention, attention_quantise: how keys and tokens are cut, and what of it stays in registers.

Keys are cut in spans of a fixed length, and the results of spans are merged in order: a token's
result is the same to the bit whether one worker walks through all of its spans or many do, and
whatever tokens it shares a block with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferflux.ir import ops
from inferflux.ir.alibi import alibi_slopes
from inferflux.ir.graph import Node, Op
from inferflux.kernels.cut import width_of
from inferflux.kernels.kernel import Kernel, Schedule, Scratch, StepShape
from inferflux.kernels.storage import LANES, FloatRows, Operand, Pages

SPAN = 256  # keys that are scored before their values are summed
BLOCK = 8  # tokens of a sequence that one piece takes at most
PARTIALS = 1024  # results of one token and one span that a step may leave to be merged

ITEM = 8  # int32 of an item in ``spans``: see codegen/artifact/spans.py
MERGE = 4  # and of one in ``merges``

# Vectors that a tile sums into. Beside 24, the rest of 32 registers holds keys, values and a
# broadcast; where a vector takes two registers of 16, or four of 32, 6 do not spill.
_SUMS = (24, 12, 6)
_MOST_VECTORS = 15  # of one buffer: TVM keeps on the stack what is less than a kilobyte
_MOST_HEADS = 8  # query heads of a piece
_MOST_PAGES = 4  # pages scored together


def tiles(node: Node, shape: StepShape) -> Iterator[Schedule]:
    """Register tiles: rows (a query head of a token each) by pages of keys, by vectors of values.

    The first takes as many tokens at once as there are accumulators for. A lone token waits for
    its pages, whatever spills.
    """
    columns = min(_MOST_PAGES, _value_dim(node) // LANES)
    fills_few = shape.has_few_registers and shape.row_block >= 4
    for sums in reversed(_SUMS) if fills_few else _SUMS:
        heads = _heads(node, sums)
        rows = min(sums // columns, _MOST_VECTORS)
        most = min(shape.max_tokens, max(1, rows // heads))
        for tokens in dict.fromkeys((most, 1)):
            yield {"heads": heads, "tokens": tokens, "sums": sums}


def all_heads(node: Node, shape: StepShape) -> Iterator[Schedule]:
    """Merging is small: a piece takes what a piece of the spans can."""
    yield {"heads": _heads(node, _SUMS[0]), "tokens": 1, "sums": _SUMS[0]}


def span_pieces(node: Node, schedule: Schedule) -> str:
    return f"num_items * {_num_heads(node) // schedule['heads']}"


def merge_pieces(node: Node, schedule: Schedule) -> str:
    return f"num_merges * {_num_heads(node) // schedule['heads']}"


def scratch(node: Node) -> Scratch:
    """A worker's: scores of a tile, two results of each row, and weights times values' scales.

    Shared by all: results to be merged.
    """
    record = record_floats(_value_dim(node))
    return Scratch(
        worker=_SUMS[0] * (2 * SPAN + 2 * record),
        shared=PARTIALS * _num_heads(node) * record,
    )


def parameters(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    queries, keys, values = operands["q"], operands["keys"], operands["values"]
    assert isinstance(queries, FloatRows)
    assert isinstance(keys, Pages)
    assert isinstance(values, Pages)
    num_heads = queries.columns // keys.head_dim
    units = num_heads // schedule["heads"]
    return {
        "num_heads": num_heads,
        "units": units,
        "splits": units // keys.kv_heads,
        "value_dim": values.head_dim,
        "record": record_floats(values.head_dim),
        "vectors": values.head_dim // LANES,
        "span": SPAN,
        "item": ITEM,
        "merge_item": MERGE,
        "tiles": [_tile(tokens, schedule, values) for tokens in _sizes(schedule)],
        "slopes_of": alibi_slopes,
    }


def record_floats(value_dim: int) -> int:
    """One query head's result of one span: its mean, and a vector each of totals and of peaks."""
    return value_dim + 2 * LANES


def _sizes(schedule: Schedule) -> tuple[int, ...]:
    return (schedule["tokens"], 1) if schedule["tokens"] > 1 else (1,)


def _tile(tokens: int, schedule: Schedule, values: Pages) -> Mapping[str, int]:
    """``pages`` are scored and ``columns`` vectors of values summed together.

    Quantised pages take a second sum for each score, and values by blocks of two vectors.
    """
    rows, vectors = tokens * schedule["heads"], values.head_dim // LANES
    block, each = (2, 2) if values.scales else (1, 1)
    fitting = range(block, min(schedule["sums"] // rows, _MOST_VECTORS) + 1, block)
    columns = [block, *(n for n in fitting if vectors % n == 0)]
    pages = max(n for n in (1, 2, _MOST_PAGES) if n == 1 or n * rows * each <= schedule["sums"])
    return {"tokens": tokens, "rows": rows, "pages": pages, "columns": max(columns)}


def _head_dim(node: Node) -> int:
    head_dim = node.attrs["head_dim"]
    assert isinstance(head_dim, int)
    return head_dim


def _value_dim(node: Node) -> int:
    value_dim = node.attrs["value_dim"]
    return value_dim if isinstance(value_dim, int) else _head_dim(node)


def _num_heads(node: Node) -> int:
    return width_of(node) // _value_dim(node)


def _heads(node: Node, sums: int) -> int:
    """Query heads of a piece: as many as there are accumulators for."""
    return max(n for n in range(1, min(sums, _MOST_HEADS) + 1) if _group(node) % n == 0)


def _group(node: Node) -> int:
    """Query heads that read one KV head."""
    kv_heads = node.inputs[1].type.shape[2]
    assert isinstance(kv_heads, int)
    return _num_heads(node) // kv_heads


def _kernel(op: Op) -> Kernel:
    merge = Kernel(op, "attention/merge.j2", ("out",), all_heads, merge_pieces, parameters)
    return Kernel(
        op, "attention/cpu.j2", ("out",), tiles, span_pieces, parameters, scratch, then=merge
    )


KERNELS = tuple(_kernel(op) for op in (ops.attention, ops.attention_quantise))

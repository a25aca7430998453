"""How work is cut into pieces: rows, blocks of rows, groups of outputs."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir.graph import Node
from inferflux.ir.types import I8PAGE
from inferflux.kernels.formats import FORMATS
from inferflux.kernels.kernel import Schedule, StepShape
from inferflux.kernels.storage import LANES, UNIT

PIECES = 16  # of one row block: enough that two workers end together, few enough to claim cheaply
_ROWS: dict[int | str, str] = {"T": "num_tokens", "R": "num_rows"}
PREFETCHES = (2560, 1280, 3840)  # bytes: about what one core has in flight, half, half more


def rows_of(node: Node) -> str:
    """The run-time number of rows that a node computes: of tokens, or of rows for logits."""
    for value in (*node.results, *node.inputs):
        if rows := _ROWS.get(value.type.shape[0]):
            return rows
    raise AssertionError(f"{node.op} has no rows, neither T nor R")


def chunks_of(node: Node, schedule: Schedule) -> str:
    """How many chunks of row blocks, as a schedule has them, cover a node's rows."""
    rows, chunk = rows_of(node), schedule.get("row_block", 1) * schedule.get("chunk", 1)
    return rows if chunk == 1 else f"T.truncdiv({rows} + {chunk - 1}, {chunk})"


def grouped(node: Node, units: int, shape: StepShape) -> Iterator[Schedule]:
    """Units of 32 outputs a piece, times how far a prefetch looks ahead; the default first.

    The default makes PIECES of one row block. Large row blocks make pieces enough by themselves,
    and reread their weights from the cache: of them it is one unit.
    """
    fixed = {"row_block": shape.row_block, "chunk": shape.row_blocks}
    default = max(1, units // PIECES) if shape.row_block < 8 else 1
    for prefetch in prefetches(node, shape):
        for size in dict.fromkeys((default, *_group_sizes(units))):
            yield {**fixed, "units": size, "prefetch": prefetch}


def prefetches(node: Node, shape: StepShape) -> tuple[int, ...]:
    """0 is none: one row reads super-blocks fastest where the machine looks ahead by itself."""
    formats = (FORMATS.get(value.type.dtype.name) for value in node.inputs)
    nested = any(each is not None and each.is_nested for each in formats)
    return (0, *PREFETCHES) if nested and shape.row_block == 1 else PREFETCHES


def _group_sizes(units: int) -> Iterator[int]:
    """1, 2, 3, 4, 6, 8, 12, ...: as long as there are two groups."""
    size = 1
    while size * 2 <= units:
        yield size
        if size > 1 and size * 3 <= units:
            yield size * 3 // 2
        size *= 2


def grouped_pieces(node: Node, units: int, schedule: Schedule) -> str:
    """Chunks of rows times groups of units; neighbouring pieces share the weights, not the rows."""
    groups = -(-units // schedule["units"])
    return f"{chunks_of(node, schedule)} * {groups}"


def whole_rows(node: Node, shape: StepShape) -> Iterator[Schedule]:
    """One row is one piece; there is nothing to choose."""
    yield {}


def row_pieces(node: Node, schedule: Schedule) -> str:
    return rows_of(node)


def part_heads(node: Node) -> str:
    """What kernels refuse that read heads as vectors: parts of a vector, or of a page's block."""
    head_dim = node.attrs["head_dim"]
    assert isinstance(head_dim, int)
    is_quantised = any(value.type.dtype == I8PAGE for value in node.inputs)
    whole = I8PAGE.block if is_quantised else LANES
    return f"head_dim {head_dim}, not a multiple of {whole}" if head_dim % whole else ""


def units_of(node: Node) -> int:
    """Units that cover the columns of a node's first result."""
    return -(-width_of(node) // UNIT)


def width_of(node: Node) -> int:
    """Columns of a node's first result."""
    columns = node.results[0].type.shape[-1]
    assert isinstance(columns, int), f"the width of {node.results[0].type} is static"
    return columns

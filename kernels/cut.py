"""How work is cut into pieces: rows, blocks of rows, groups of outputs."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir.graph import Node
from inferflux.kernels.formats import FORMATS
from inferflux.kernels.kernel import Schedule, StepShape
from inferflux.kernels.storage import UNIT

PIECES = 16  # of one row block: enough that two workers end together, few enough to claim cheaply
PREFETCHES = (2560, 1280, 3840)  # bytes: about what one core has in flight, half, half more


def rows_of(node: Node) -> str:
    """The run-time number of rows of a node's first result: of tokens, or of rows for logits."""
    match node.results[0].type.shape[0]:
        case "T":
            return "num_tokens"
        case "R":
            return "num_rows"
        case other:
            raise AssertionError(f"{node.op} has rows of {other}, neither T nor R")


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


def units_of(node: Node) -> int:
    """Units that cover the columns of a node's first result."""
    return -(-width_of(node) // UNIT)


def width_of(node: Node) -> int:
    """Columns of a node's first result."""
    columns = node.results[0].type.shape[-1]
    assert isinstance(columns, int), f"the width of {node.results[0].type} is static"
    return columns

"""Packed layouts of weights: panels of 16 rows, so that a row is a lane of a vector.

``panel16``: [panel, block, ...]. For floats a block is one column: 16 values. For quantised types
it is 32 columns: bytes [group of 4 columns, 16 rows, 4 columns], which is what a 4-way integer dot
product reads, then 16 f16 scales, and for q4_1 16 f16 minima. The nibbles of q4_0 and q4_1 hold
columns 0..15 low and 16..31 high. The int8 of q8_0 become unsigned by adding 128. Rows are padded
with zeros to a full unit of two panels.

``panel16.pairs``: the same for query and key projections, the rows of each head reordered so that
32 rows hold the first elements of 16 rotary pairs, then their partners: RoPE rotates two vectors
and never shuffles lanes. Scores do not change, as queries and keys are reordered alike.

``pairs``: a vector that is added to such rows, in their order.
"""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.types import DType
from inferflux.kernels.storage import LANES, UNIT

BLOCK_BYTES = {"f32": 64, "f16": 32, "bf16": 32, "q4_0": 288, "q4_1": 320, "q8_0": 544}
BLOCK_COLUMNS = {"f32": 1, "f16": 1, "bf16": 1, "q4_0": 32, "q4_1": 32, "q8_0": 32}


def packed_bytes(dtype: DType, rows: int, columns: int) -> int:
    """Bytes of one weight [rows, columns] as panels."""
    panels = -(-rows // UNIT) * UNIT // LANES
    return panels * (columns // BLOCK_COLUMNS[dtype.name]) * BLOCK_BYTES[dtype.name]


def pack_panels(raw: Array, dtype: DType, rows: int, columns: int, order: Array | None) -> Array:
    """Pack a row-major weight, given as the file's bytes, into panels; gives uint8.

    Args:
        order: which row of the file comes where (see ``pair_order``); None keeps the file's order.
    """
    matrix = raw.reshape(rows, -1)
    if order is not None:
        matrix = matrix[order]
    padding = -rows % UNIT
    if padding:
        matrix = np.concatenate([matrix, np.zeros((padding, matrix.shape[1]), np.uint8)])
    return _PACK[dtype.name](matrix, columns).reshape(-1)


def pair_order(rows: int, head_dim: int, pairs: str) -> Array:
    """The order of rows under ``panel16.pairs``.  ``pairs``: "adjacent" (2i, 2i+1) or "halves"."""
    half = head_dim // 2
    index = np.arange(half).reshape(-1, LANES)  # 16 pairs a row
    if pairs == "adjacent":
        first, second = 2 * index, 2 * index + 1
    else:
        first, second = index, index + half
    head = np.stack([first, second], axis=1).reshape(-1)  # (head_dim,)
    return (np.arange(0, rows, head_dim)[:, None] + head).reshape(-1)


def _pack_plain(matrix: Array, itemsize: int) -> Array:
    columns = matrix.shape[1] // itemsize
    panels = matrix.reshape(-1, LANES, columns, itemsize)
    return np.ascontiguousarray(panels.transpose(0, 2, 1, 3))  # panel, column, lane


def _pack_nibbles(matrix: Array, columns: int, num_halves: int) -> Array:
    """Blocks of f16 scales (and minima), then 16 bytes: low nibbles are 4 groups, high 4 more."""
    blocks = matrix.reshape(-1, LANES, columns // 32, 2 * num_halves + 16)
    halves = [_by_block(blocks[..., 2 * at : 2 * at + 2]) for at in range(num_halves)]
    nibbles = blocks[..., 2 * num_halves :]
    return np.concatenate([_by_group(nibbles.reshape(*nibbles.shape[:3], 4, 4)), *halves], axis=-1)


def _pack_q8_0(matrix: Array, columns: int) -> Array:
    blocks = matrix.reshape(-1, LANES, columns // 32, 34)
    unsigned = blocks[..., 2:] ^ np.uint8(128)  # adding 128, modulo 256
    quads = unsigned.reshape(*unsigned.shape[:3], 8, 4)
    return np.concatenate([_by_group(quads), _by_block(blocks[..., :2])], axis=-1)


def _by_group(quads: Array) -> Array:
    """(panel, lane, block, group, 4) -> (panel, block, group * lane * 4)"""
    moved = quads.transpose(0, 2, 3, 1, 4)
    return moved.reshape(*moved.shape[:2], -1)


def _by_block(halves: Array) -> Array:
    """(panel, lane, block, 2 bytes) -> (panel, block, lane * 2)"""
    moved = halves.transpose(0, 2, 1, 3)
    return moved.reshape(*moved.shape[:2], -1)


_PACK = {
    "f32": lambda matrix, columns: _pack_plain(matrix, 4),
    "f16": lambda matrix, columns: _pack_plain(matrix, 2),
    "bf16": lambda matrix, columns: _pack_plain(matrix, 2),
    "q4_0": lambda matrix, columns: _pack_nibbles(matrix, columns, num_halves=1),
    "q4_1": lambda matrix, columns: _pack_nibbles(matrix, columns, num_halves=2),
    "q8_0": _pack_q8_0,
}

"""Packed layouts of weights: panels of 16 rows, so that a row is a lane of a vector.

``panel16``: [panel, block, ...]. For floats a block is one column: 16 values. For quantised types
it is 32 columns: integers [group of 4 columns, 16 rows, 4 columns], which is what a 4-way integer
dot product reads, and scales of 16 rows, as ``kernels.formats`` says of each type. Rows are padded
with zeros to a full unit of two panels.

``panel16.pairs``: the same for query and key projections, the rows of each head reordered so that
32 rows hold the first elements of 16 rotary pairs, then their partners: RoPE rotates two vectors
and never shuffles lanes. Scores do not change, as queries and keys are reordered alike.

``pairs``: a vector that is added to such rows, in their order.
"""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised import Blocks, SuperBlocks, WeightRows, unpack_blocks
from inferflux.ir.types import Q4_0, Q4_1, DType
from inferflux.kernels.formats import BLOCK, FORMATS, Format
from inferflux.kernels.storage import LANES, UNIT

CHUNK_BYTES = 1 << 19  # of integers, a byte each: what a core packs without leaving its cache


def packed_bytes(dtype: DType, rows: int, columns: int) -> int:
    """Bytes of one weight [rows, columns] as panels."""
    format_ = FORMATS[dtype.name]
    return _num_panels(rows) * (columns // format_.stored_columns) * format_.nbytes


def pack_panels(raw: Array, dtype: DType, rows: int, columns: int, order: Array | None) -> Array:
    """Pack a row-major weight, given as the file's bytes, into panels; gives uint8.

    Args:
        order: which row of the file comes where (see ``pair_order``); None keeps the file's order.
    """
    matrix = raw.reshape(rows, -1)
    panels = np.zeros((_num_panels(rows), packed_bytes(dtype, LANES, columns) // 2), np.uint8)
    at_once = max(1, CHUNK_BYTES // (LANES * columns))
    for first in range(0, len(panels), at_once):
        chunk = slice(first * LANES, (first + at_once) * LANES)
        some = matrix[chunk if order is None else order[chunk]]
        packed = _pack(_whole_panels(some), dtype, columns)
        panels[first : first + len(packed)] = packed
    return panels.reshape(-1)


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


def _num_panels(rows: int) -> int:
    return -(-rows // UNIT) * UNIT // LANES


def _whole_panels(matrix: Array) -> Array:
    padding = -len(matrix) % LANES
    if not padding:
        return matrix
    return np.concatenate([matrix, np.zeros((padding, matrix.shape[1]), np.uint8)])


def _pack(matrix: Array, dtype: DType, columns: int) -> Array:
    """Rows of whole panels to (panels, bytes)."""
    panels = matrix.reshape(-1, LANES, matrix.shape[1])
    if not dtype.is_quantised:
        return _pack_values(panels, dtype)
    if dtype in (Q4_0, Q4_1):
        return _pack_nibbles(panels, dtype)
    blocks = unpack_blocks(WeightRows(dtype, panels))
    if isinstance(blocks, SuperBlocks):
        return _pack_nested(blocks, FORMATS[dtype.name])
    return _pack_blocks(blocks, FORMATS[dtype.name])


def _pack_values(panels: Array, dtype: DType) -> Array:
    values = panels.view(f"<u{dtype.block_bytes}")  # panel, lane, column
    columns = np.ascontiguousarray(values.transpose(0, 2, 1))
    return columns.view(np.uint8).reshape(len(panels), -1)


def _pack_nibbles(panels: Array, dtype: DType) -> Array:
    """As ``_pack_blocks``, without unpacking: a file's nibbles lie as a panel's do."""
    blocks = panels.reshape(len(panels), LANES, -1, dtype.block_bytes)
    head = dtype.block_bytes - 16
    halves = [_by_lane(blocks[..., at : at + 2], within=2) for at in range(0, head, 2)]
    nibbles = _by_lane(blocks[..., head:], within=4)
    return np.concatenate([nibbles, *halves], axis=-1).reshape(len(panels), -1)


def _pack_blocks(blocks: Blocks, format_: Format) -> Array:
    """Block by block its integers, then the scales of its rows, and where there are any minima."""
    parts = [_lines(blocks.q, format_)]
    if format_.scale == "e8m0":
        parts.append(_by_lane(_exponents(blocks.scales)))
    else:
        parts.extend(_halves(each) for each in (blocks.scales, blocks.minima) if each is not None)
    return np.concatenate(parts, axis=-1).reshape(len(blocks.q), -1)


def _pack_nested(blocks: SuperBlocks, format_: Format) -> Array:
    """Super-block by super-block its f16, its small integers, then its blocks' integers."""
    num_panels, _, num_blocks, _ = blocks.q.shape
    head = [_halves(each) for each in (blocks.scale, blocks.minimum) if each is not None]
    small = _by_lane(blocks.scales.view(np.uint8))
    if blocks.minima is not None:
        minima = _by_lane(blocks.minima.view(np.uint8))
        if format_.scale == "u4":
            small = small | minima << 4
        else:
            by_block = [each.reshape(num_panels, num_blocks, 8, -1) for each in (small, minima)]
            small = np.concatenate(by_block, axis=-1).reshape(num_panels, num_blocks, -1)
    lines = _lines(blocks.q.reshape(num_panels, LANES, -1, BLOCK), format_)
    parts = [*head, small, lines.reshape(num_panels, num_blocks, -1)]
    return np.concatenate(parts, axis=-1).reshape(num_panels, -1)


def _lines(q: Array, format_: Format) -> Array:
    """The integers as planes of lines.  (panel, lane, block, 32) int8 -> (panel, block, bytes)"""
    stored = _stored(q.view(np.uint8), format_)
    quads = stored.reshape(*q.shape[:3], 8, 4).view("<u4")[..., 0]
    groups = np.ascontiguousarray(quads.transpose(0, 2, 3, 1))  # panel, block, group, lane
    low, num_parts = format_.planes[0], format_.parts
    if num_parts == 1:  # whole bytes
        return groups.view(np.uint8).reshape(*groups.shape[:2], -1)
    lines = groups.reshape(*groups.shape[:2], num_parts, low, LANES)  # group = part * low + line
    planes, below = [], 0
    for bits in format_.planes:
        packed = np.zeros((*groups.shape[:2], bits, LANES), "<u4")
        shared = low // bits  # lines of the first plane that share one of this
        for part in range(num_parts):
            for line in range(low):
                number = lines[:, :, part, line] >> below & _in_every_byte((1 << bits) - 1)
                packed[:, :, line // shared] |= number << (part * low + line % shared * bits)
        planes.append(packed.view(np.uint8).reshape(*groups.shape[:2], -1))
        below += bits
    return np.concatenate(planes, axis=-1)


def _stored(q: Array, format_: Format) -> Array:
    """Integers without a sign: their places in the table, or as much larger as the format says."""
    if not format_.table:
        return q + np.uint8(format_.offset)  # modulo 256
    places = np.zeros(256, np.uint8)
    places[np.array(format_.table) - format_.offset] = np.arange(len(format_.table))
    return places[q]


def _in_every_byte(bits: int) -> np.uint32:
    return np.uint32(bits * 0x01010101)


def _halves(scales: Array) -> Array:
    """f32 that f16 holds.  (panel, lane, block, 1) -> (panel, block, lane * 2 bytes)"""
    with np.errstate(invalid="ignore", over="ignore"):
        halves = scales.astype("<f2")
    return _by_lane(halves.view(np.uint8).reshape(*scales.shape[:3], 2), within=2)


def _by_lane(integers: Array, within: int = 1) -> Array:
    """(panel, lane, block, n) -> (panel, block, n bytes of every lane), ``within`` side by side."""
    pieces = integers.reshape(*integers.shape[:3], -1, within)
    moved = pieces.transpose(0, 2, 3, 1, 4)  # panel, block, piece, lane, within
    return moved.reshape(*moved.shape[:2], -1)


def _exponents(scales: Array) -> Array:
    """The e of 2 ** (e - 128), of which the least two are subnormal floats."""
    bits = np.ascontiguousarray(scales).view(np.uint32)
    return np.where(bits < 1 << 23, bits >> 22, (bits >> 23) + 1).astype(np.uint8)

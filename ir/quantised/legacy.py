"""GGUF's blocks of 32 weights with one f16 scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised.blocks import Blocks, f16_at, f16_bytes, pack_planes, planes


def unpack_q4_0(blocks: Array) -> Blocks:
    """(..., 18): scale, 32 x 4 bit, 8 too large."""
    return Blocks(f16_at(blocks, 0), None, _less(planes(blocks[..., 2:], 4, 16), 8))


def unpack_q4_1(blocks: Array) -> Blocks:
    """(..., 20): scale, minimum, 32 x 4 bit."""
    return Blocks(f16_at(blocks, 0), f16_at(blocks, 2), _less(planes(blocks[..., 4:], 4, 16), 0))


def unpack_q5_0(blocks: Array) -> Blocks:
    """(..., 22): scale, 32 fifth bits, 32 x 4 bit, together 16 too large."""
    return Blocks(f16_at(blocks, 0), None, _less(_five_bits(blocks[..., 2:]), 16))


def unpack_q5_1(blocks: Array) -> Blocks:
    """(..., 24): scale, minimum, 32 fifth bits, 32 x 4 bit."""
    return Blocks(f16_at(blocks, 0), f16_at(blocks, 2), _less(_five_bits(blocks[..., 4:]), 0))


def unpack_q8_0(blocks: Array) -> Blocks:
    """(..., 34): scale, 32 x int8."""
    return Blocks(f16_at(blocks, 0), None, np.ascontiguousarray(blocks[..., 2:]).view(np.int8))


def pack_q4_0(scales: Array, q: Array) -> Array:
    """(n, 1) float32 and (n, 32) of -8..7 to blocks (n, 18)."""
    unsigned = (q + np.int8(8)).view(np.uint8)
    return np.concatenate([f16_bytes(scales), pack_planes(unsigned, 4, 16)], axis=-1)


def pack_q5_0(scales: Array, q: Array) -> Array:
    """(n, 1) float32 and (n, 32) of -16..15 to blocks (n, 22)."""
    unsigned = (q + np.int8(16)).view(np.uint8)
    fifth, low = pack_planes(unsigned >> 4, 1, 1), pack_planes(unsigned & 15, 4, 16)
    return np.concatenate([f16_bytes(scales), fifth, low], axis=-1)


def pack_q8_0(scales: Array, q: Array) -> Array:
    """(n, 1) float32 and (n, 32) int8 to blocks (n, 34)."""
    return np.concatenate([f16_bytes(scales), q.view(np.uint8)], axis=-1)


def _five_bits(packed: Array) -> Array:
    """(..., 4 + 16): the fifth bits, a bit a column, and the lower four."""
    q: Array = planes(packed[..., 4:], 4, 16) | planes(packed[..., :4], 1, 1) << 4
    return q


def _less(unsigned: Array, offset: int) -> Array:
    return np.asarray(unsigned.view(np.int8) - np.int8(offset))

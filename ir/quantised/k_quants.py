"""GGUF's blocks of 256 weights: an f16 scale, and small integer scales of 16 or 32 of them.

A scale of ``Blocks`` is the float32 product of the two, rounded once, as GGUF's tools multiply.
"""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised.blocks import Blocks, f16_at, f16_bytes, pack_planes, planes


def unpack_q2_k(blocks: Array) -> Blocks:
    """(..., 84): 16 scales and minima of 4 bit, 256 x 2 bit, f16 of scales, f16 of minima."""
    both = blocks[..., :16]
    scales = _scaled(f16_at(blocks, 80), both & np.uint8(15))
    minima = -_scaled(f16_at(blocks, 82), both >> 4)
    return Blocks(scales, minima, planes(blocks[..., 16:80], 2, 32).view(np.int8))


def unpack_q3_k(blocks: Array) -> Blocks:
    """(..., 110): 256 third bits, 256 x 2 bit, 16 scales of 6 bit, f16; a clear third bit is -4."""
    packed = blocks[..., 96:108]
    scales = planes(packed[..., :8], 4, 8) | planes(packed[..., 8:], 2, 4) << 4
    third = planes(blocks[..., :32], 1, 32) << 2
    q = (planes(blocks[..., 32:96], 2, 32) | third).view(np.int8) - np.int8(4)
    return Blocks(_scaled(f16_at(blocks, 108), scales.view(np.int8) - np.int8(32)), None, q)


def unpack_q4_k(blocks: Array) -> Blocks:
    """(..., 144): f16 of the scales, f16 of the minima, 8 of each of 6 bit, 256 x 4 bit."""
    return Blocks(*_scales_and_minima(blocks), planes(blocks[..., 16:], 4, 32).view(np.int8))


def unpack_q5_k(blocks: Array) -> Blocks:
    """(..., 176): as Q4_K, and 256 fifth bits before the lower four."""
    q = planes(blocks[..., 48:], 4, 32) | planes(blocks[..., 16:48], 1, 32) << 4
    return Blocks(*_scales_and_minima(blocks), q.view(np.int8))


def unpack_q6_k(blocks: Array) -> Blocks:
    """(..., 210): 256 x 4 lower bits, 256 x 2 upper, 16 scales of int8, f16; 32 too large."""
    q = planes(blocks[..., :128], 4, 64) | planes(blocks[..., 128:192], 2, 32) << 4
    scales = np.ascontiguousarray(blocks[..., 192:208]).view(np.int8)
    return Blocks(_scaled(f16_at(blocks, 208), scales), None, q.view(np.int8) - np.int8(32))


def pack_q6_k(factors: Array, scales: Array, q: Array) -> Array:
    """(n, 1) float32, (n, 16) int8 and (n, 256) of -32..31 to blocks (n, 210)."""
    unsigned = (q + np.int8(32)).view(np.uint8)
    low, high = pack_planes(unsigned & 15, 4, 64), pack_planes(unsigned >> 4, 2, 32)
    return np.concatenate([low, high, scales.view(np.uint8), f16_bytes(factors)], axis=-1)


def _scales_and_minima(blocks: Array) -> tuple[Array, Array]:
    """The head of Q4_K and Q5_K: two f16, then 8 scales and 8 minima of 6 bit in 12 bytes.

    Bytes 0..3 hold scales 0..3 and, above them, the upper two bits of scales 4..7; bytes 4..7 the
    same of minima; bytes 8..11 the lower four bits of scales 4..7 and of minima 4..7.
    """
    first, second, rest = (blocks[..., at : at + 4] for at in (4, 8, 12))
    low, high = np.uint8(63), np.uint8(48)
    scales = np.concatenate([first & low, rest & np.uint8(15) | first >> 2 & high], axis=-1)
    minima = np.concatenate([second & low, rest >> 4 | second >> 2 & high], axis=-1)
    return _scaled(f16_at(blocks, 0), scales), -_scaled(f16_at(blocks, 2), minima)


def _scaled(factor: Array, integers: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(factor * integers.astype(np.float32))

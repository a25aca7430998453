"""GGUF's blocks of 256 weights: an f16 scale, and small integer scales of 16 or 32 of them.

Minima are subtracted: the f16 they are multiplied by is negative here.
"""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised.blocks import SuperBlocks, f16_at, f16_bytes, pack_planes, planes


def unpack_q2_k(blocks: Array) -> SuperBlocks:
    """(..., 84): 16 scales and minima of 4 bit, 256 x 2 bit, f16 of scales, f16 of minima."""
    scales, minima = (blocks[..., :16] & np.uint8(15)).view(np.int8), blocks[..., :16] >> 4
    q = planes(blocks[..., 16:80], 2, 32).view(np.int8)
    return SuperBlocks(f16_at(blocks, 80), scales, q, -f16_at(blocks, 82), minima.view(np.int8))


def unpack_q3_k(blocks: Array) -> SuperBlocks:
    """(..., 110): 256 third bits, 256 x 2 bit, 16 scales of 6 bit, f16; a clear third bit is -4."""
    packed = blocks[..., 96:108]
    scales = planes(packed[..., :8], 4, 8) | planes(packed[..., 8:], 2, 4) << 4
    third = planes(blocks[..., :32], 1, 32) << 2
    q = (planes(blocks[..., 32:96], 2, 32) | third).view(np.int8) - np.int8(4)
    return SuperBlocks(f16_at(blocks, 108), scales.view(np.int8) - np.int8(32), q)


def unpack_q4_k(blocks: Array) -> SuperBlocks:
    """(..., 144): f16 of the scales, f16 of the minima, 8 of each of 6 bit, 256 x 4 bit."""
    return _with_minima(blocks, planes(blocks[..., 16:], 4, 32))


def unpack_q5_k(blocks: Array) -> SuperBlocks:
    """(..., 176): as Q4_K, and 256 fifth bits before the lower four."""
    return _with_minima(
        blocks, planes(blocks[..., 48:], 4, 32) | planes(blocks[..., 16:48], 1, 32) << 4
    )


def unpack_q6_k(blocks: Array) -> SuperBlocks:
    """(..., 210): 256 x 4 lower bits, 256 x 2 upper, 16 scales of int8, f16; 32 too large."""
    q = planes(blocks[..., :128], 4, 64) | planes(blocks[..., 128:192], 2, 32) << 4
    scales = np.ascontiguousarray(blocks[..., 192:208]).view(np.int8)
    return SuperBlocks(f16_at(blocks, 208), scales, q.view(np.int8) - np.int8(32))


def pack_q4_k(scale: Array, depth: Array, scales: Array, minima: Array, q: Array) -> Array:
    """(n, 1) float32 twice, (n, 8) of 6 bit twice, (n, 256) of 4 bit to blocks (n, 144).

    w = scale * scales * q - depth * minima; all integers uint8.
    """
    first = scales[:, :4] | scales[:, 4:] >> 4 << 6
    second = minima[:, :4] | minima[:, 4:] >> 4 << 6
    rest = scales[:, 4:] & 15 | minima[:, 4:] << 4
    halves = (f16_bytes(scale), f16_bytes(depth))
    return np.concatenate([*halves, first, second, rest, pack_planes(q, 4, 32)], axis=-1)


def pack_q6_k(scale: Array, scales: Array, q: Array) -> Array:
    """(n, 1) float32, (n, 16) int8 and (n, 256) of -32..31 to blocks (n, 210)."""
    unsigned = (q + np.int8(32)).view(np.uint8)
    low, high = pack_planes(unsigned & 15, 4, 64), pack_planes(unsigned >> 4, 2, 32)
    return np.concatenate([low, high, scales.view(np.uint8), f16_bytes(scale)], axis=-1)


def _with_minima(blocks: Array, q: Array) -> SuperBlocks:
    """The head of Q4_K and Q5_K: two f16, then 8 scales and 8 minima of 6 bit in 12 bytes.

    Bytes 0..3 hold scales 0..3 and, above them, the upper two bits of scales 4..7; bytes 4..7 the
    same of minima; bytes 8..11 the lower four bits of scales 4..7 and of minima 4..7.
    """
    first, second, rest = (blocks[..., at : at + 4] for at in (4, 8, 12))
    low, high = np.uint8(63), np.uint8(48)
    scales = np.concatenate([first & low, rest & np.uint8(15) | first >> 2 & high], axis=-1)
    minima = np.concatenate([second & low, rest >> 4 | second >> 2 & high], axis=-1)
    return SuperBlocks(
        f16_at(blocks, 0),
        scales.view(np.int8),
        q.view(np.int8),
        -f16_at(blocks, 2),
        minima.view(np.int8),
    )

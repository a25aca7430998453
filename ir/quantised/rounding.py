"""Float32 rows to blocks of a file: every value to its nearest, rounded as GGUF's tools round.

Where scales are searched, they are not those of the tools: see ``search``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised.activations import round_bf16
from inferflux.ir.quantised.blocks import f16_bytes, pack_planes
from inferflux.ir.quantised.search import quantise_q4_k, quantise_q6_k, quantise_q8_0
from inferflux.ir.types import BF16, F16, F32, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q6_K, Q8_0, DType


def quantise(x: Array, dtype: DType) -> Array:
    """Float32 rows as a file stores them.  (..., K) -> (..., bytes)"""
    rows = np.ascontiguousarray(x, np.float32)
    if not dtype.is_quantised:
        return _NARROW[dtype](rows).view(np.uint8).reshape(*x.shape[:-1], -1)
    blocks = _QUANTISE[dtype](rows.reshape(-1, dtype.block))
    return blocks.reshape(*x.shape[:-1], -1)


def _quantise_q4_0(blocks: Array) -> Array:
    scale, q = _furthest(blocks, 8)
    return np.concatenate([f16_bytes(scale), pack_planes(q & 15, 4, 16)], axis=1)


def _quantise_q5_0(blocks: Array) -> Array:
    scale, q = _furthest(blocks, 16)
    return np.concatenate([f16_bytes(scale), _five_bits(q)], axis=1)


def _quantise_q4_1(blocks: Array) -> Array:
    head, q = _span(blocks, 15)
    return np.concatenate([f16_bytes(head), pack_planes(q & 15, 4, 16)], axis=1)


def _quantise_q5_1(blocks: Array) -> Array:
    head, q = _span(blocks, 31)
    return np.concatenate([f16_bytes(head), _five_bits(q)], axis=1)


def _furthest(blocks: Array, half: int) -> tuple[Array, Array]:
    """The value furthest from 0 becomes -half, whatever its sign: the scale has the other one."""
    furthest = np.abs(blocks).argmax(axis=1, keepdims=True)
    scale = np.take_along_axis(blocks, furthest, axis=1) / np.float32(-half)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    q = np.clip(blocks * inverse + np.float32(half + 0.5), 0, 2 * half - 1)
    return scale, q.astype(np.uint8)


def _span(blocks: Array, steps: int) -> tuple[Array, Array]:
    """Scale and minimum (blocks, 2), and q: the least value is 0 and the greatest ``steps``."""
    low, high = blocks.min(axis=1, keepdims=True), blocks.max(axis=1, keepdims=True)
    scale = (high - low) / np.float32(steps)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    q = np.clip((blocks - low) * inverse + np.float32(0.5), 0, steps).astype(np.uint8)
    return np.concatenate([scale, low], axis=1), q


def _five_bits(q: Array) -> Array:
    return np.concatenate([pack_planes(q >> 4, 1, 1), pack_planes(q & 15, 4, 16)], axis=1)


def _to_bf16(x: Array) -> Array:
    """The upper halves of floats, rounded."""
    return (round_bf16(x).view(np.uint32) >> 16).astype("<u2")


_NARROW: dict[DType, Callable[[Array], Array]] = {
    F32: lambda x: x.astype("<f4"),
    F16: lambda x: x.astype("<f2"),
    BF16: _to_bf16,
}
_QUANTISE: dict[DType, Callable[[Array], Array]] = {
    Q4_0: _quantise_q4_0,
    Q4_1: _quantise_q4_1,
    Q5_0: _quantise_q5_0,
    Q5_1: _quantise_q5_1,
    Q8_0: quantise_q8_0,
    Q4_K: quantise_q4_k,
    Q6_K: quantise_q6_k,
}

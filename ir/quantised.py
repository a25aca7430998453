"""Quantised numbers on NumPy: weights as their blocks lie in a file, activations as int8 rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.types import BF16, F16, F32, I8X32, Q4_0, Q4_1, Q8_0, DType

BLOCK = 32


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedRows:
    """An i8x32 value: x = values * scales, a scale for 32 of a row."""

    values: Array  # (..., D) int8
    scales: Array  # (..., D / 32) f32


@dataclass(frozen=True, slots=True, eq=False)
class BfloatRows:
    """A bf16 value: activations on their way into a product of bf16 with float32 sums."""

    values: Array  # (..., D) float32 that bf16 holds


Activations = QuantisedRows | BfloatRows


@dataclass(frozen=True, slots=True, eq=False)
class WeightRows:
    """A quantised weight: rows of blocks, as in the file."""

    dtype: DType
    raw: Array  # (..., N, K / 32 * block bytes) uint8

    def __getitem__(self, index: Any) -> WeightRows:
        return WeightRows(self.dtype, self.raw[index])


def quantise_rows(x: Array) -> QuantisedRows:
    """f32 (..., D) to int8 with a scale per 32: scale = amax / 127, q = rint(x * 127 / amax)."""
    blocks = x.reshape(*x.shape[:-1], -1, BLOCK)
    amax = np.abs(blocks).max(axis=-1)
    inverse = np.divide(np.float32(127), amax, out=np.zeros_like(amax), where=amax > 0)
    values = np.rint(blocks * inverse[..., None]).astype(np.int8)
    return QuantisedRows(values.reshape(x.shape), amax / np.float32(127))


def round_bf16(x: Array) -> Array:
    """f32 to the nearest that bf16 holds, halves to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    odd = bits >> 16 & 1
    return ((bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)).view(np.float32)


def narrow(x: Array, dtype: DType) -> Activations:
    """f32 rows as what products take of them: i8x32 or bf16."""
    return quantise_rows(x) if dtype == I8X32 else BfloatRows(round_bf16(x))


def to_f32(weight: Array | WeightRows) -> Array:
    """A weight's values, whatever it is stored as."""
    if isinstance(weight, WeightRows):
        width = weight.raw.shape[-1] // weight.dtype.block_bytes * weight.dtype.block
        return dequantise(weight.raw, weight.dtype, (*weight.raw.shape[:-1], width))
    return weight.astype(np.float32, copy=False)


def dequantise(raw: Array, dtype: DType, shape: tuple[int, ...]) -> Array:
    """The bytes of a tensor of a file as float32 of ``shape``."""
    flat = np.ascontiguousarray(raw).reshape(-1)
    if not dtype.is_quantised:
        return _WIDEN[dtype](flat).reshape(shape)
    scales, minima, q = _UNPACK[dtype](flat.reshape(-1, dtype.block_bytes))
    return (scales[:, None] * q.astype(np.float32) + minima[:, None]).reshape(shape)


def quantise(x: Array, dtype: DType) -> Array:
    """Float32 rows as a file stores them, rounded as GGUF's tools do.  (..., K) -> (..., bytes)"""
    rows = np.ascontiguousarray(x, np.float32)
    if not dtype.is_quantised:
        return _NARROW[dtype](rows).view(np.uint8).reshape(*x.shape[:-1], -1)
    blocks = _QUANTISE[dtype](rows.reshape(-1, BLOCK))
    return blocks.reshape(*x.shape[:-1], -1)


def dot_blocks(x: QuantisedRows, weight: WeightRows) -> Array:
    """x @ weight.T: exact int32 dots of blocks, scaled and summed in float32.  -> (T, N)

    Q4_1:  sum over blocks of  scale_w * scale_x * dot(q_w, q_x) + min_w * scale_x * sum(q_x)
    """
    blocks = weight.raw.reshape(len(weight.raw), -1, weight.dtype.block_bytes)
    scales, minima, weights = _UNPACK[weight.dtype](blocks)  # (N, K/32), (N, K/32), (N, K/32, 32)
    # A dot of a block is below 2**24, so float32 products hold it exactly, and are fast.
    x_blocks = x.values.reshape(len(x.values), -1, BLOCK).astype(np.float32)
    w_blocks = weights.astype(np.float32)
    out = np.zeros((len(x_blocks), len(w_blocks)), np.float32)
    for block in range(x_blocks.shape[1]):
        dots = x_blocks[:, block] @ w_blocks[:, block].T  # (T, N)
        x_scale = x.scales[:, block, None]
        out += scales[:, block] * x_scale * dots
        out += minima[:, block] * x_scale * x_blocks[:, block].sum(axis=1, keepdims=True)
    return out


def _unpack_q4_0(blocks: Array) -> tuple[Array, Array, Array]:
    """(..., 18) bytes to scales (...), minima of 0 and q -8..7 (..., 32) int8."""
    scales = _f16_at(blocks, 0)
    return scales, np.zeros_like(scales), _nibbles(blocks[..., 2:]).view(np.int8) - np.int8(8)


def _unpack_q4_1(blocks: Array) -> tuple[Array, Array, Array]:
    """(..., 20) bytes to scales (...), minima (...) and q 0..15 (..., 32)."""
    scales, minima = (_f16_at(blocks, at) for at in (0, 2))
    return scales, minima, _nibbles(blocks[..., 4:])


def _unpack_q8_0(blocks: Array) -> tuple[Array, Array, Array]:
    """(..., 34) bytes to scales (...), minima of 0 and q (..., 32) int8."""
    scales = _f16_at(blocks, 0)
    return scales, np.zeros_like(scales), np.ascontiguousarray(blocks[..., 2:]).view(np.int8)


def _nibbles(packed: Array) -> Array:
    """(..., 16) bytes to 0..15 (..., 32): the low nibbles, then the high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def _f16_at(blocks: Array, at: int) -> Array:
    halves = np.ascontiguousarray(blocks[..., at : at + 2]).view("<f2")
    return np.asarray(halves[..., 0].astype(np.float32))


def _quantise_q4_0(blocks: Array) -> Array:
    """The value furthest from 0 becomes -8, whatever its sign: the scale has the other one."""
    furthest = np.abs(blocks).argmax(axis=1, keepdims=True)
    scale = np.take_along_axis(blocks, furthest, axis=1) / np.float32(-8)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    q = np.clip(blocks * inverse + np.float32(8.5), 0, 15).astype(np.uint8)
    return np.concatenate([scale.astype("<f2").view(np.uint8), q[:, :16] | q[:, 16:] << 4], axis=1)


def _quantise_q4_1(blocks: Array) -> Array:
    low, high = blocks.min(axis=1, keepdims=True), blocks.max(axis=1, keepdims=True)
    scale = (high - low) / np.float32(15)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    q = np.clip((blocks - low) * inverse + np.float32(0.5), 0, 15).astype(np.uint8)
    head = np.concatenate([scale, low], axis=1).astype("<f2").view(np.uint8)  # (blocks, 4)
    return np.concatenate([head, q[:, :16] | q[:, 16:] << 4], axis=1)


def _quantise_q8_0(blocks: Array) -> Array:
    amax = np.abs(blocks).max(axis=1, keepdims=True)
    scale = amax / np.float32(127)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    q = np.round(blocks * inverse).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.uint8), q.view(np.uint8)], axis=1)


def _to_bf16(x: Array) -> Array:
    """The upper halves of finite floats, to nearest even: a carry climbs into the exponent."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


_WIDEN: dict[DType, Callable[[Array], Array]] = {
    F32: lambda flat: flat.view("<f4").astype(np.float32),
    F16: lambda flat: flat.view("<f2").astype(np.float32),
    BF16: lambda flat: (flat.view("<u2").astype(np.uint32) << 16).view(np.float32),
}
_NARROW: dict[DType, Callable[[Array], Array]] = {
    F32: lambda x: x.astype("<f4"),
    F16: lambda x: x.astype("<f2"),
    BF16: _to_bf16,
}
_UNPACK: dict[DType, Callable[[Array], tuple[Array, Array, Array]]] = {
    Q4_0: _unpack_q4_0,
    Q4_1: _unpack_q4_1,
    Q8_0: _unpack_q8_0,
}
_QUANTISE: dict[DType, Callable[[Array], Array]] = {
    Q4_0: _quantise_q4_0,
    Q4_1: _quantise_q4_1,
    Q8_0: _quantise_q8_0,
}
assert I8X32.block == BLOCK

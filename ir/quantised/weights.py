"""Weights as their blocks lie in a file: what they stand for, and their products with int8 rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised import k_quants, legacy, tables
from inferflux.ir.quantised.activations import QuantisedRows
from inferflux.ir.quantised.blocks import Blocks, SuperBlocks
from inferflux.ir.types import (
    BF16,
    F16,
    F32,
    IQ4_NL,
    IQ4_XS,
    MXFP4,
    Q2_K,
    Q3_K,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    DType,
)


@dataclass(frozen=True, slots=True, eq=False)
class WeightRows:
    """A quantised weight: rows of blocks, as in the file."""

    dtype: DType
    raw: Array  # (..., N, K / block * block bytes) uint8

    def __getitem__(self, index: Any) -> WeightRows:
        return WeightRows(self.dtype, self.raw[index])


def to_f32(weight: Array | WeightRows) -> Array:
    """A weight's values, whatever it is stored as."""
    if isinstance(weight, WeightRows):
        return unpack(weight).values()
    return weight.astype(np.float32, copy=False)


def dequantise(raw: Array, dtype: DType, shape: tuple[int, ...]) -> Array:
    """The bytes of a tensor of a file as float32 of ``shape``."""
    flat = np.ascontiguousarray(raw).reshape(-1)
    if not dtype.is_quantised:
        return _WIDEN[dtype](flat).reshape(shape)
    return to_f32(WeightRows(dtype, flat.reshape(1, -1))).reshape(shape)


def unpack(weight: WeightRows) -> Blocks:
    """The integers of a quantised weight, their scales and minima, row by row."""
    rows = weight.raw.shape[:-1]
    blocks = unpack_blocks(weight)
    if isinstance(blocks, SuperBlocks):
        blocks = blocks.multiplied()
    minima = blocks.minima
    return Blocks(
        blocks.scales.reshape(*rows, -1),
        None if minima is None else minima.reshape(*rows, -1),
        blocks.q.reshape(*rows, -1),
    )


def unpack_blocks(weight: WeightRows) -> Blocks | SuperBlocks:
    """The same, block by block of a row: (..., N, K / block, ...)."""
    rows = weight.raw.shape[:-1]
    return _UNPACK[weight.dtype](weight.raw.reshape(*rows, -1, weight.dtype.block_bytes))


def dot_blocks(x: QuantisedRows, weight: WeightRows) -> Array:
    """x @ weight.T: exact int32 dots of groups, scaled and summed in float32.  -> (T, N)

    sum over groups of  scale_w * scale_x * dot(q_w, q_x) + min_w * scale_x * sum(q_x)

    A group is what shares a scale of the weight: 32 columns, or 16; a scale of x is for several.
    """
    blocks = unpack(weight)
    # A dot of a group is below 2**24, so float32 products hold it exactly, and are fast.
    q_w = blocks.q.astype(np.float32).reshape(*blocks.scales.shape, blocks.columns)
    q_x = x.values.astype(np.float32).reshape(len(x.values), -1, blocks.columns)
    out = np.zeros((len(q_x), len(q_w)), np.float32)
    for group in range(q_x.shape[1]):
        dots = q_x[:, group] @ q_w[:, group].T  # (T, N)
        x_scale = x.scales[:, group * blocks.columns // x.block, None]
        out += blocks.scales[:, group] * x_scale * dots
        if blocks.minima is not None:
            sums = q_x[:, group].sum(axis=1, keepdims=True)
            out += blocks.minima[:, group] * x_scale * sums
    return out


_WIDEN: dict[DType, Callable[[Array], Array]] = {
    F32: lambda flat: flat.view("<f4").astype(np.float32),
    F16: lambda flat: flat.view("<f2").astype(np.float32),
    BF16: lambda flat: (flat.view("<u2").astype(np.uint32) << 16).view(np.float32),
}
_UNPACK: dict[DType, Callable[[Array], Blocks | SuperBlocks]] = {
    Q4_0: legacy.unpack_q4_0,
    Q4_1: legacy.unpack_q4_1,
    Q5_0: legacy.unpack_q5_0,
    Q5_1: legacy.unpack_q5_1,
    Q8_0: legacy.unpack_q8_0,
    Q2_K: k_quants.unpack_q2_k,
    Q3_K: k_quants.unpack_q3_k,
    Q4_K: k_quants.unpack_q4_k,
    Q5_K: k_quants.unpack_q5_k,
    Q6_K: k_quants.unpack_q6_k,
    IQ4_NL: tables.unpack_iq4_nl,
    IQ4_XS: tables.unpack_iq4_xs,
    MXFP4: tables.unpack_mxfp4,
}

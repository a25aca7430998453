"""Activations on their way into a product: int8 rows with a scale for a block, or bf16."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.types import I8X32, INT8_ROWS, DType

BLOCK = I8X32.block


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedRows:
    """An i8x32 or i8x256 value: x = values * scales, a scale for 32 or 256 of a row."""

    values: Array  # (..., D) int8
    scales: Array  # (..., D / block) f32

    @property
    def block(self) -> int:
        return int(self.values.shape[-1] // self.scales.shape[-1])


@dataclass(frozen=True, slots=True, eq=False)
class BfloatRows:
    """A bf16 value: activations on their way into a product of bf16 with float32 sums."""

    values: Array  # (..., D) float32 that bf16 holds


Activations = QuantisedRows | BfloatRows


def quantise_rows(x: Array, block: int = BLOCK) -> QuantisedRows:
    """f32 (..., D) to int8 with a scale a block: scale = amax / 127, q = rint(x * 127 / amax)."""
    blocks = x.reshape(*x.shape[:-1], -1, block)
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
    """f32 rows as what products take of them: int8 or bf16."""
    return quantise_rows(x, dtype.block) if dtype in INT8_ROWS else BfloatRows(round_bf16(x))

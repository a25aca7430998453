"""Blocks whose scales are a float times small integers: what most of these types are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised import Blocks
from inferflux.ir.quantised.k_quants import pack_q6_k
from inferflux.ir.quantised.legacy import pack_q4_0


@dataclass(frozen=True, slots=True, eq=False)
class FactoredBlocks:
    """w = factor * integer * q, an integer for some columns of the block.

    A factor takes all powers of two that a type's formula has, so that q and the integers are
    whole: it has a half's digits, and no product of the three has more than a float32's.
    """

    factors: Array  # (blocks, 1) f32
    integers: Array  # (blocks, groups)
    q: Array  # (blocks, columns) int8

    def values(self) -> Array:
        """(blocks, columns) float32"""
        with np.errstate(invalid="ignore", over="ignore"):
            scales = self.factors * self.integers.astype(np.float32)
        return Blocks(scales, None, self.q).values()

    def to_q6_k(self) -> Array:
        """The very values as Q6_K, unless a factor is too small for a half.  (blocks, bytes)

        q must be in -32..31 and integers in int8, and a block of 256.
        """
        integers = np.repeat(self.integers, 16 // self.integers.shape[1], axis=1)
        return pack_q6_k(self.factors, integers.astype(np.int8), self.q)

    def to_q4_0(self) -> Array:
        """The very values as Q4_0; the integers must be 1 and q in -8..7."""
        groups = self.q.reshape(-1, 32)
        return pack_q4_0(np.repeat(self.factors, len(groups) // len(self.q), axis=0), groups)

"""What all block formats of weights are once unpacked, and the ways their bits are packed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferflux.ir.graph import Array


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Unpacked weights: w = scales * q + minima, one scale and minimum for ``columns`` of a row."""

    scales: Array  # (..., K / columns) f32
    minima: Array | None  # the same; None where there are none: adding 0 would turn -0 into 0
    q: Array  # (..., K) int8

    @property
    def columns(self) -> int:
        return int(self.q.shape[-1] // self.scales.shape[-1])

    def values(self) -> Array:
        """Float32 (..., K).  Scales of a damaged file may be anything: inf and nan pass through."""
        groups = self.q.astype(np.float32).reshape(*self.scales.shape, self.columns)
        with np.errstate(invalid="ignore", over="ignore"):
            groups *= self.scales[..., None]
            if self.minima is not None:
                groups += self.minima[..., None]
        return groups.reshape(self.q.shape)


@dataclass(frozen=True, slots=True, eq=False)
class SuperBlocks:
    """Blocks of 256 as they are packed: small integers scale, times an f16 of the block."""

    scale: Array  # (..., 1) f32 that f16 holds
    scales: Array  # (..., 256 / columns) int8
    q: Array  # (..., 256) int8
    minimum: Array | None = None  # of the minima, as scale of the scales; the sign is in it
    minima: Array | None = None

    def multiplied(self) -> Blocks:
        """With scales and minima in float32, each a product that is rounded once."""
        with np.errstate(invalid="ignore", over="ignore"):
            scales = self.scale * self.scales.astype(np.float32)
            if self.minimum is None or self.minima is None:
                return Blocks(scales, None, self.q)
            return Blocks(scales, self.minimum * self.minima.astype(np.float32), self.q)


def f16_at(blocks: Array, at: int) -> Array:
    """The half at byte ``at`` of each block, as float32.  (..., bytes) -> (..., 1)"""
    return np.ascontiguousarray(blocks[..., at : at + 2]).view("<f2").astype(np.float32)


def f16_bytes(numbers: Array) -> Array:
    """(..., n) float32 to the bytes of halves.  (..., 2n)"""
    return np.ascontiguousarray(numbers.astype("<f2")).view(np.uint8)


def planes(packed: Array, bits: int, stride: int) -> Array:
    """Numbers of 1, 2 or 4 bits: of every ``stride`` bytes first all the lowest, then the next.

    (..., n) uint8 -> (..., n * 8 / bits) uint8
    """
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    rows = packed.reshape(*packed.shape[:-1], -1, 1, stride)
    return (rows >> shifts & np.uint8((1 << bits) - 1)).reshape(*packed.shape[:-1], -1)


def pack_planes(numbers: Array, bits: int, stride: int) -> Array:
    """What ``planes`` unpacks.  (..., n * 8 / bits) uint8 -> (..., n) uint8"""
    rows = numbers.reshape(*numbers.shape[:-1], -1, 8 // bits, stride)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    packed = np.bitwise_or.reduce(rows << shifts, axis=-2)
    return np.asarray(packed.reshape(*numbers.shape[:-1], -1))

"""Types of few values: ternary TQ1_0 and TQ2_0, and NVFP4."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised.blocks import SuperBlocks, f16_at, planes
from inferflux.ir.quantised.tables import FP4_VALUES


def unpack_tq1_0(blocks: Array) -> SuperBlocks:
    """(n, 54): 32 and 16 bytes of five numbers 0..2, 4 bytes of four, half; 1 too large.

    A byte is 256 times a fraction of base 3, so that a digit is the whole part after times 3.
    """
    parts = (_digits(blocks[:, :32], 5), _digits(blocks[:, 32:48], 5), _digits(blocks[:, 48:52], 4))
    return _factored(f16_at(blocks, 52), np.concatenate(parts, axis=1) - np.int8(1))


def unpack_tq2_0(blocks: Array) -> SuperBlocks:
    """(n, 66): 256 x 2 bit, half; 1 too large."""
    return _factored(f16_at(blocks, 64), planes(blocks[:, :64], 2, 32).view(np.int8) - np.int8(1))


def unpack_nvfp4(blocks: Array) -> SuperBlocks:
    """(n, 36): 4 scales of E4M3 without a sign, each of 16 columns; 64 x 4 bit."""
    return _factored(_half_e4m3(blocks[:, :4]), FP4_VALUES[planes(blocks[:, 4:], 4, 8)])


def _factored(factors: Array, q: Array) -> SuperBlocks:
    return SuperBlocks(factors, np.ones(factors.shape, np.int8), q)


def _digits(packed: Array, count: int) -> Array:
    """(n, m) bytes to the digits (n, count * m): of all bytes the first, then the next."""
    powers = 3 ** np.arange(count, dtype=np.uint8)[:, None]
    fractions = (packed[:, None] * powers).astype(np.uint16)  # the product modulo 256
    return np.asarray((fractions * 3 >> 8).astype(np.int8).reshape(len(packed), -1))


def _half_e4m3(codes: Array) -> Array:
    """Half the scale, as the table is doubled.  0x7F, a nan, is read as 0, as llama.cpp does."""
    exponents, fractions = (codes >> 3 & 15).astype(np.int32), (codes & 7).astype(np.float32)
    normal = np.ldexp(1 + fractions / 8, exponents - 8)
    scales = np.where(exponents == 0, np.ldexp(fractions, -10), normal)
    return np.where(codes == 0x7F, np.float32(0), scales).astype(np.float32)

"""GGUF's blocks whose 4 bits stand for a number of a table: IQ4_NL, IQ4_XS, MXFP4."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised.blocks import Blocks, SuperBlocks, f16_at, planes

# Denser where weights are: llama.cpp, kvalues_iq4nl.
IQ4_VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8
)
# Twice the values of FP4 E2M1, so that they are integers: OCP Microscaling Formats 1.0, 5.3.3.
FP4_VALUES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)


def unpack_iq4_nl(blocks: Array) -> Blocks:
    """(..., 18): scale, 32 x 4 bit."""
    return Blocks(f16_at(blocks, 0), None, IQ4_VALUES[planes(blocks[..., 2:], 4, 16)])


def unpack_iq4_xs(blocks: Array) -> SuperBlocks:
    """(..., 136): f16, 8 scales of 6 bit (the upper 2, then the lower 4), 8 x 32 x 4 bit."""
    scales = planes(blocks[..., 4:8], 4, 1) | planes(blocks[..., 2:4], 2, 1) << 4
    q = IQ4_VALUES[planes(blocks[..., 8:], 4, 16)]
    return SuperBlocks(f16_at(blocks, 0), scales.view(np.int8) - np.int8(32), q)


def unpack_mxfp4(blocks: Array) -> Blocks:
    """(..., 17): a power of two (E8M0), 32 x 4 bit."""
    return Blocks(_half_e8m0(blocks[..., :1]), None, FP4_VALUES[planes(blocks[..., 1:], 4, 16)])


def _half_e8m0(exponents: Array) -> Array:
    """2 ** (e - 128): half the scale, as the table is doubled.  The least two are subnormal."""
    e = exponents.astype(np.uint32)
    normal = (np.maximum(e, 1) - np.uint32(1)) << np.uint32(23)
    return np.where(e < 2, np.uint32(1 << 21) << np.minimum(e, 1), normal).view(np.float32)

"""Every block of a file stands for the very numbers that the ``gguf`` package reads in it."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from inferflux.ir.frontend.gguf.kinds import SUPPORTED, TENSOR_KINDS
from inferflux.ir.frontend.gguf.repacked import REPACKED
from inferflux.ir.quantised import dequantise

# All that the package reads; plain numbers are in the tests of the GGUF reader.
KINDS = {
    kind.name: kind
    for kind in TENSOR_KINDS.values()
    if gguf.GGMLQuantizationType[kind.name] in gguf.quants._type_traits
}
RANDOM = 10_000
# Halves: zeros, infinities, nan, the least and greatest subnormal, the least normal, the greatest.
EXTREMES = (0, 0x8000, 0x7C00, 0xFC00, 0x7E00, 1, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF)


def some_blocks(num_bytes):
    """(blocks, num_bytes): random ones, constant ones, and random ones with an extreme half."""
    rng = np.random.default_rng(num_bytes)
    blocks = [rng.integers(0, 256, (RANDOM, num_bytes), np.uint8)]
    blocks += [np.full((1, num_bytes), byte, np.uint8) for byte in (0, 0xFF, 0x80, 0x7F, 0x55)]
    for at in range(0, num_bytes - 1, 2):
        extreme = rng.integers(0, 256, (len(EXTREMES), num_bytes), np.uint8)
        extreme[:, at : at + 2] = np.array(EXTREMES, "<u2").view(np.uint8).reshape(-1, 2)
        blocks.append(extreme)
    return np.concatenate(blocks)


def bits(numbers):
    """Float32 as bits, so that -0 is not 0; every nan is one."""
    return np.where(np.isnan(numbers), np.uint32(0x7FC00000), numbers.view(np.uint32))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the package's own, of infinite scales
@pytest.mark.parametrize("name", KINDS)
def test_blocks_are_read_bit_for_bit_as_gguf_reads_them(name):
    raw = some_blocks(KINDS[name].block_bytes)
    expected = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
    if name in SUPPORTED:
        ours = dequantise(raw, SUPPORTED[name], expected.shape)
    else:
        ours = REPACKED[name].values(raw)
    np.testing.assert_array_equal(bits(ours), bits(expected))

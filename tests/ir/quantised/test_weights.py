"""Quantised numbers, against the ``gguf`` package and against float64."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from inferflux.ir.quantised import (
    WeightRows,
    dequantise,
    dot_blocks,
    quantise,
    quantise_rows,
    to_f32,
)
from inferflux.ir.types import BF16, BLOCKS, F16, F32, MXFP4, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0

KINDS = {
    Q4_0: gguf.GGMLQuantizationType.Q4_0,
    Q4_1: gguf.GGMLQuantizationType.Q4_1,
    Q5_0: gguf.GGMLQuantizationType.Q5_0,
    Q5_1: gguf.GGMLQuantizationType.Q5_1,
    Q8_0: gguf.GGMLQuantizationType.Q8_0,
    F16: gguf.GGMLQuantizationType.F16,
    BF16: gguf.GGMLQuantizationType.BF16,
}


@pytest.fixture
def rows():
    rows = np.random.default_rng(3).standard_normal((6, 96)).astype(np.float32)
    rows[0] = 0
    rows[1, 32:64] = 2.5  # a block of one value
    rows[2, :32] = np.float32(1) + np.arange(32) / np.float32(512)  # halfway between bf16s
    rows[3, :32] = np.arange(32) + np.float32(0.5)  # of an int8 with scale 1: halves
    rows[3, 0] = 127
    return rows


@pytest.mark.parametrize("dtype", [each for each in KINDS if each != Q8_0], ids=str)  # searched
def test_bytes_are_the_ones_gguf_writes(rows, dtype):
    written = gguf.quants.quantize(rows, KINDS[dtype])
    np.testing.assert_array_equal(quantise(rows, dtype), written.view(np.uint8))


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_bytes_are_read_as_gguf_reads_them(rows, dtype):
    raw = gguf.quants.quantize(rows, KINDS[dtype])
    ours = dequantise(raw.view(np.uint8).reshape(-1), dtype, rows.shape)
    np.testing.assert_array_equal(ours, gguf.quants.dequantize(raw, KINDS[dtype]))


def test_float32_bytes_are_taken_as_they_are(rows):
    np.testing.assert_array_equal(dequantise(rows.view(np.uint8), F32, rows.shape), rows)


def test_int8_rows_have_a_scale_for_each_32_and_reach_127(rows):
    quantised = quantise_rows(rows)
    assert quantised.scales.shape == (6, 3)
    assert quantised.values.dtype == np.int8
    assert np.abs(quantised.values[2:].reshape(4, 3, 32)).max(axis=-1).tolist() == [[127] * 3] * 4
    back = quantised.values * np.repeat(quantised.scales, 32, axis=1)
    assert np.all(np.abs(back - rows) <= np.repeat(quantised.scales, 32, axis=1) * 0.5001)


def test_a_block_of_zeros_is_zeros_with_scale_zero(rows):
    quantised = quantise_rows(rows[:1])
    assert not quantised.values.any()
    assert not quantised.scales.any()


def test_halves_round_to_even():
    row = np.zeros((1, 32), np.float32)
    row[0, :4] = [127, 0.5, 1.5, 2.5]
    assert quantise_rows(row).values[0, :4].tolist() == [127, 0, 2, 2]


@pytest.mark.parametrize("dtype", BLOCKS, ids=str)
def test_products_of_blocks_are_those_of_the_numbers_they_stand_for(dtype):
    rng = np.random.default_rng(7)
    weight = WeightRows(dtype, finite_blocks(rng, dtype, rows=6, columns=512))
    x = quantise_rows(rng.standard_normal((5, 512)).astype(np.float32) * 3)
    numbers = x.values * np.repeat(x.scales, 32, axis=1).astype(np.float64)
    exact = numbers @ to_f32(weight).T.astype(np.float64)
    close = np.abs(numbers) @ np.abs(to_f32(weight)).T * 1e-5
    assert np.all(np.abs(dot_blocks(x, weight) - exact) <= close)


def finite_blocks(rng, dtype, rows, columns):
    """Random bytes whose every half, so every scale too, is between -2 and 2."""
    raw = rng.integers(0, 256, (rows, columns // dtype.block * dtype.block_bytes), np.uint8)
    blocks = raw.reshape(-1, dtype.block_bytes)
    if dtype == MXFP4:
        blocks[:, 0] = rng.integers(120, 128, len(blocks))
    else:
        blocks &= 0xBF
    return raw


def test_a_weight_can_be_indexed_by_layer_and_by_row(rows):
    stacked = WeightRows(Q8_0, np.stack([quantise(rows, Q8_0), quantise(-rows, Q8_0)]))
    np.testing.assert_array_equal(to_f32(stacked[1]), -to_f32(stacked[0]))
    np.testing.assert_array_equal(to_f32(stacked[0][[2, 4]]), to_f32(stacked[0])[[2, 4]])

"""Searched scales err less than those of the largest value, on every kind of numbers."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir.quantised import WeightRows, dequantise, quantise, unpack
from inferflux.ir.types import BF16, Q4_1, Q4_K, Q6_K, Q8_0

RANDOM = np.random.default_rng(11)
ROWS = {
    "normal": RANDOM.normal(0, 0.02, (64, 1024)),
    "heavy tails": RANDOM.standard_t(4, (64, 1024)),
    "uniform": RANDOM.uniform(-1, 1, (64, 1024)),
    "all above zero": RANDOM.uniform(0.5, 1, (64, 1024)),
    "all below zero": -RANDOM.uniform(0.5, 1, (64, 1024)),
}
# The relative rms error that llama.cpp's own quantisers (ggml-quants.c) make of numbers so
# distributed, and 1 % more; theirs try twice as many scales.
MOST = {
    ("normal", Q4_K): 0.0721,
    ("normal", Q6_K): 0.0179,
    ("normal", Q8_0): 0.0053,
    ("uniform", Q4_K): 0.0551,
    ("uniform", Q6_K): 0.0134,
}


def error(rows, dtype):
    rows = rows.astype(np.float32)
    ours = dequantise(quantise(rows, dtype), dtype, rows.shape)
    return float(np.sqrt(np.mean((ours - rows) ** 2) / np.mean(rows**2)))


@pytest.mark.parametrize(("kind", "dtype"), MOST, ids=str)
def test_the_error_is_that_of_llama_cpp(kind, dtype):
    assert error(ROWS[kind], dtype) < MOST[kind, dtype]


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "uniform"])
def test_as_many_bits_err_less_than_without_a_search(kind):
    assert error(ROWS[kind], Q4_K) < error(ROWS[kind], Q4_1) * 0.95
    assert error(ROWS[kind], Q8_0) < error(ROWS[kind], Q6_K) < error(ROWS[kind], Q4_K)


@pytest.mark.parametrize("kind", ["all above zero", "all below zero"])
def test_numbers_on_one_side_of_zero_are_within_half_a_step(kind):
    rows = ROWS[kind].astype(np.float32)
    weight = WeightRows(Q4_K, quantise(rows, Q4_K))
    steps = np.repeat(np.abs(unpack(weight).scales), 32, axis=1)
    ours = dequantise(weight.raw, Q4_K, rows.shape)
    assert np.mean(np.abs(ours - rows) <= steps * 0.51) > 0.97


@pytest.mark.parametrize("dtype", [Q4_K, Q6_K], ids=str)
def test_what_blocks_hold_is_found_again(dtype):
    """Quantising what was quantised moves it much less than the first time did."""
    rows = ROWS["normal"].astype(np.float32)
    once = dequantise(quantise(rows, dtype), dtype, rows.shape)
    assert error(once, dtype) < error(rows, dtype) * 0.6


def test_steps_of_a_model_that_was_quantised_before_are_found_in_q8_0():
    """As it is published in BF16; one scale to the largest value is twice as far from them."""
    rows = ROWS["normal"].astype(np.float32)
    published = dequantise(
        quantise(dequantise(quantise(rows, Q4_1), Q4_1, rows.shape), BF16), BF16, rows.shape
    )
    assert error(published, Q8_0) < error(rows, Q8_0) * 0.6


@pytest.mark.parametrize("size", [1e-7, 1e-6, 1e-5, 65504.0])
def test_scales_that_a_half_hardly_holds_leave_values_within_a_step(size):
    rows = (np.linspace(-1, 1, 32, dtype=np.float32) * np.float32(size))[None]
    ours = dequantise(quantise(rows, Q8_0), Q8_0, rows.shape)
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    assert np.abs(ours - rows).max() <= max(size / 127, 64 * smallest)


@pytest.mark.parametrize("dtype", [Q4_K, Q6_K, Q8_0], ids=str)
def test_zeros_stay_zeros(dtype):
    rows = np.zeros((2, 512), np.float32)
    rows[1, 300] = 0.25
    ours = dequantise(quantise(rows, dtype), dtype, rows.shape)
    assert not ours[0].any()
    assert not np.delete(ours[1], 300).any()
    np.testing.assert_allclose(ours[1, 300], 0.25, rtol=1e-3)


@pytest.mark.parametrize("dtype", [Q4_K, Q6_K, Q8_0], ids=str)
@pytest.mark.parametrize("value", [0.75, -0.75])
def test_a_block_of_one_value_keeps_it(dtype, value):
    rows = np.full((1, 256), value, np.float32)
    np.testing.assert_allclose(
        dequantise(quantise(rows, dtype), dtype, rows.shape), value, rtol=0.01
    )


@pytest.mark.parametrize("dtype", [Q4_K, Q6_K, Q8_0], ids=str)
def test_bytes_do_not_depend_on_how_many_blocks_are_searched_at_a_time(dtype):
    rows = RANDOM.normal(0, 1, (300, 256)).astype(np.float32)
    apart = np.concatenate([quantise(rows[:100], dtype), quantise(rows[100:], dtype)])
    np.testing.assert_array_equal(quantise(rows, dtype), apart)

"""What a kernel gave is what NumPy says, to the tolerance of its type."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferflux.ir.quantised import BfloatRows, QuantisedRows

Array = np.ndarray[Any, np.dtype[Any]]

# What a kernel may differ from NumPy by, of the largest value: the order of sums, fused multiply-
# adds, and for a page the rounding of its elements.
TOLERANCE = {"f32": 4e-6, "f16": 2**-11, "i8x32": 1 / 127}


def assert_close(got: Any, expected: Any) -> None:
    """Floats, pages, or rows of int8 or bf16."""
    if isinstance(expected, QuantisedRows):
        _assert_quantised(got, expected)
        return
    if isinstance(expected, BfloatRows):
        _assert_bf16(got, expected.values)
        return
    tolerance = TOLERANCE["f16" if expected.dtype == np.float16 else "f32"]
    largest = float(np.abs(expected.astype(np.float64)).max(initial=0))
    np.testing.assert_allclose(
        got.astype(np.float64), expected.astype(np.float64), rtol=0, atol=tolerance * largest
    )


def _assert_bf16(got: Array, expected: Array) -> None:
    """To one unit in the last place of bf16, and that only where the float was nearly halfway."""
    difference = np.abs(got - expected)
    assert np.all(difference <= np.abs(expected) * 2**-7)
    assert np.count_nonzero(difference) <= 0.01 * difference.size


def _assert_quantised(got: Any, expected: QuantisedRows) -> None:
    """Scales to float32's tolerance, values to one unit; the sums are those of the values."""
    assert_close(got.scales, expected.scales)
    difference = np.abs(got.values.astype(int) - expected.values)
    assert difference.max(initial=0) <= TOLERANCE["i8x32"] * 127
    assert np.count_nonzero(difference) <= 0.01 * difference.size  # those that were nearly halves
    if expected.block == 32:
        _assert_sums_of_blocks(got)
        return
    np.testing.assert_array_equal(got.sums, _sums(got.values, 32))
    if got.half_sums is not None:
        np.testing.assert_array_equal(got.half_sums, _sums(got.values, 16))


def _assert_sums_of_blocks(got: Any) -> None:
    sums = _sums(got.values, 32)
    np.testing.assert_array_equal(got.corrections, -128 * sums)
    np.testing.assert_allclose(got.scaled_sums, got.scales * sums, rtol=1e-6)
    if got.half_corrections:
        halves = np.stack(got.half_corrections, axis=-1).reshape(len(sums), -1)
        np.testing.assert_array_equal(halves, -128 * _sums(got.values, 16))


def _sums(values: Array, columns: int) -> Array:
    return values.reshape(len(values), -1, columns).sum(axis=-1, dtype=np.int32)

"""Converted tensors are read some rows at a time, and their error is told as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inferflux.ir.frontend import conversion
from inferflux.ir.frontend.conversion import conversion_error, converted, row_chunks
from inferflux.ir.frontend.source import ConvertedRows, Origin
from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import BF16, F16

ORIGIN = Origin(Path("m.gguf"), "w", "F32", 0, 0)


@pytest.fixture
def values(monkeypatch):
    monkeypatch.setattr(conversion, "_CHUNK_VALUES", 64 * 40)  # rows at a time: 32 of 40
    return np.random.default_rng(1).standard_normal((100, 40)).astype(np.float32)


def narrowed(values, dtype):
    def convert():
        for start, stop in row_chunks(*values.shape):
            rows = values[start:stop]
            yield ConvertedRows(quantise(rows, dtype).reshape(-1), rows)

    return converted("w", dtype, values.shape, ORIGIN, convert)


def test_rows_come_in_whole_panels_until_the_last(values):
    assert list(row_chunks(*values.shape)) == [(0, 64), (64, 100)]
    assert list(row_chunks(70, 1 << 30)) == [(0, 32), (32, 64), (64, 70)]


@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_a_converted_tensor_reads_as_one_of_its_new_type(values, dtype):
    np.testing.assert_array_equal(narrowed(values, dtype).raw, quantise(values, dtype).reshape(-1))


@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_its_error_is_relative_to_its_own_values(values, dtype):
    ours = dequantise(quantise(values, dtype), dtype, values.shape).astype(np.float64)
    error = conversion_error(narrowed(values, dtype))
    assert error.rms == pytest.approx(
        np.linalg.norm(ours - values) / np.linalg.norm(values.astype(np.float64)), rel=1e-6
    )
    assert error.greatest == pytest.approx(np.abs(ours - values).max() / np.abs(values).max())


def test_what_the_type_holds_has_no_error(values):
    values[:] = np.rint(values * 16)
    values[3, 3], values[4, 4] = np.inf, np.nan
    error = conversion_error(narrowed(values, BF16))
    assert (error.greatest, error.rms) == (0, 0)

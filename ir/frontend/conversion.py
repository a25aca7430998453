"""Tensors that are given another type than they have in their file, and how far that moves them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from inferflux.ir.frontend.source import ConvertedRows, Origin, SourceTensor
from inferflux.ir.graph import Array
from inferflux.ir.quantised import dequantise
from inferflux.ir.types import DType

GREATEST_F16 = 65504.0
ROWS = 32  # rows are converted in multiples: whole panels of every target
_CHUNK_VALUES = 1 << 18  # values at a time, or 32 rows: 1 MB as float32, which caches hold


def converted(
    name: str,
    dtype: DType,
    shape: tuple[int, ...],
    origin: Origin,
    convert: Callable[[], Iterator[ConvertedRows]],
) -> SourceTensor:
    """A tensor of ``dtype`` that is made, some rows at a time, of what the file holds."""

    def read() -> Array:
        return np.concatenate([rows.raw for rows in convert()])

    return SourceTensor(name, dtype, shape, read, origin, convert)


def row_chunks(num_rows: int, width: int) -> Iterator[tuple[int, int]]:
    """All rows, in ranges small enough to convert at a time."""
    step = max(_CHUNK_VALUES // width // ROWS, 1) * ROWS
    for start in range(0, num_rows, step):
        yield start, min(start + step, num_rows)


@dataclass(frozen=True, slots=True)
class ConversionError:
    """How far converted values are from a file's, relative to the tensor's own; 0 is exactly."""

    greatest: float  # of the greatest magnitude
    rms: float  # of the root of the mean square


class ErrorSum:
    """Adds up a tensor's conversion error, rows after rows."""

    __slots__ = ("_greatest", "_greatest_value", "_squares", "_value_squares")

    def __init__(self) -> None:
        self._greatest = self._greatest_value = self._squares = self._value_squares = 0.0

    def add(self, rows: ConvertedRows, dtype: DType) -> None:
        given = dequantise(rows.raw, dtype, rows.values.shape)
        finite = np.isfinite(rows.values)  # what is not stays what it is, in every type
        values, errors = np.where(finite, rows.values, 0), np.zeros_like(given)
        np.subtract(given, values, out=errors, where=finite)
        self._greatest = max(self._greatest, float(np.abs(errors).max()))
        self._greatest_value = max(self._greatest_value, float(np.abs(values).max()))
        self._squares += float(np.square(errors, dtype=np.float64).sum())
        self._value_squares += float(np.square(values, dtype=np.float64).sum())

    def total(self) -> ConversionError:
        if not self._greatest:
            return ConversionError(0.0, 0.0)
        return ConversionError(
            self._greatest / self._greatest_value, (self._squares / self._value_squares) ** 0.5
        )


def conversion_error(tensor: SourceTensor) -> ConversionError:
    """The error of a tensor, all of which is read."""
    error = ErrorSum()
    for rows in tensor.convert() if tensor.convert else ():
        error.add(rows, tensor.dtype)
    return error.total()

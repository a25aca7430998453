"""Values that no block type holds, as F16 or BF16, whichever errs less."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from inferflux.ir.frontend.conversion import GREATEST_F16, converted, row_chunks
from inferflux.ir.frontend.source import ConvertedRows, Origin, SourceTensor
from inferflux.ir.graph import Array
from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import BF16, F16, DType

_SAMPLES = 1024  # of scales, by which the type is chosen


def float_tensor(
    name: str,
    shape: tuple[int, int],
    dtype: DType,
    values: Callable[[int, int], Array],
    origin: Origin,
) -> SourceTensor:
    """A tensor of ``dtype``; ``values`` gives rows start..stop as float32."""

    def convert() -> Iterator[ConvertedRows]:
        for start, stop in row_chunks(*shape):
            rows = values(start, stop)
            yield ConvertedRows(quantise(rows, dtype).reshape(-1), rows)

    return converted(name, dtype, shape, origin, convert)


def choose_float(codes: Array, scales: Array) -> DType:
    """The type for numbers that are a code times a scale; BF16 if either type is exact."""
    flat = scales.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.abs(codes).max() * np.abs(flat).max() <= GREATEST_F16:
            return BF16
        sampled = flat[:: max(1, flat.size // _SAMPLES)]
        products = codes.astype(np.float32)[:, None] * sampled
    return F16 if _error(products, F16) < _error(products, BF16) else BF16


def _error(values: Array, dtype: DType) -> float:
    narrowed = dequantise(quantise(values, dtype), dtype, values.shape)
    return float(np.square(narrowed - values, dtype=np.float64).sum())

"""Integers with scales: as the smallest block type that holds them exactly, else as floats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from inferflux.ir.frontend.conversion import converted, row_chunks
from inferflux.ir.frontend.huggingface.quantisation.floats import choose_float, float_tensor
from inferflux.ir.frontend.source import ConvertedRows, Origin, SourceTensor
from inferflux.ir.graph import Array
from inferflux.ir.quantised.legacy import pack_q4_0, pack_q5_0, pack_q8_0
from inferflux.ir.types import Q4_0, Q5_0, Q8_0, DType

_BLOCK = 32
_PACK: dict[DType, tuple[int, Callable[[Array, Array], Array]]] = {  # by the least q it holds
    Q4_0: (-8, pack_q4_0),
    Q5_0: (-16, pack_q5_0),
    Q8_0: (-128, pack_q8_0),
}


@dataclass(frozen=True, slots=True, eq=False)
class IntegerMatrix:
    """w[n, k] = scales[n, groups[k]] * q[n, k], all of it made when it is asked for."""

    shape: tuple[int, int]
    least: int  # that q may be, and the most
    greatest: int
    q: Callable[[int, int], Array] = field(repr=False)  # rows start..stop: (rows, K), signed
    scales: Callable[[], Array] = field(repr=False)  # (N, G) f32
    groups: Array = field(repr=False)  # (K,)

    def values(self, start: int, stop: int) -> Array:
        """(rows, K) float32"""
        with np.errstate(over="ignore", invalid="ignore"):
            scales = self.scales()[start:stop, self.groups]
            return np.asarray(scales * self.q(start, stop).astype(np.float32))


def integer_tensor(name: str, matrix: IntegerMatrix, origin: Origin) -> SourceTensor:
    """A tensor of Q4_0, Q5_0 or Q8_0 if that is exact: its blocks repeat a group's scale."""
    dtype = _exact_type(matrix)
    if dtype is None:
        codes = np.arange(matrix.least, matrix.greatest + 1)
        dtype = choose_float(codes, matrix.scales())
        return float_tensor(name, matrix.shape, dtype, matrix.values, origin)
    _, pack = _PACK[dtype]

    def convert() -> Iterator[ConvertedRows]:
        scales = matrix.scales()[:, matrix.groups[::_BLOCK]]  # (N, K / 32)
        for start, stop in row_chunks(*matrix.shape):
            q = matrix.q(start, stop).astype(np.int8).reshape(-1, _BLOCK)
            blocks = pack(scales[start:stop].reshape(-1, 1), q)
            yield ConvertedRows(blocks.reshape(-1), matrix.values(start, stop))

    return converted(name, dtype, matrix.shape, origin, convert)


def _exact_type(matrix: IntegerMatrix) -> DType | None:
    """Blocks of 32 must have one scale each, which a half must hold."""
    width = matrix.shape[1]
    if width % _BLOCK or np.ptp(matrix.groups.reshape(-1, _BLOCK), axis=1).any():
        return None
    scales = matrix.scales()
    with np.errstate(over="ignore"):
        if not np.array_equal(scales.astype(np.float16).astype(np.float32), scales):
            return None
    for dtype, (least, _) in _PACK.items():
        if least <= matrix.least and matrix.greatest < -least:
            return dtype
    return None

"""The table of what these types become, and tensors that are converted as they are read.

Where a type with kernels holds the values exactly, it is that one: ternary weights are Q4_0; the
grids of IQ1 and IQ3 have numbers and scales that Q6_K has too; NVFP4 has few digits, so BF16 does.
IQ2 fits none: a half is within 2**-11 of every weight, BF16 within 2**-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from inferflux.ir.frontend.conversion import GREATEST_F16, converted, row_chunks
from inferflux.ir.frontend.gguf.kinds import SUPPORTED, TensorKind
from inferflux.ir.frontend.gguf.repacked import lattices, small
from inferflux.ir.frontend.source import Bytes, ConvertedRows, ModelFileError, Origin, SourceTensor
from inferflux.ir.graph import Array
from inferflux.ir.quantised import SuperBlocks, dequantise, quantise
from inferflux.ir.quantised.k_quants import pack_q6_k
from inferflux.ir.quantised.legacy import pack_q4_0
from inferflux.ir.types import BF16, F16, F32, Q4_0, Q6_K, DType

_GREATEST = {F16: GREATEST_F16, BF16: 3.38e38, F32: float(np.finfo(np.float32).max)}


@dataclass(frozen=True, slots=True)
class Repacking:
    """What blocks of a type stand for, and the ``dtype`` that kernels read them as."""

    dtype: DType
    values: Callable[[Array], Array]  # (n, bytes) to (n, columns), bit for bit as GGUF's tools
    pack: Callable[[Array], Array] | None = None  # to blocks of dtype; None: from the values


def repack(
    name: str, kind: TensorKind, shape: tuple[int, ...], stored: Bytes, origin: Origin
) -> SourceTensor:
    """A tensor of a type in ``REPACKED`` as one of the type it becomes."""
    repacking = REPACKED[kind.name]

    def convert() -> Iterator[ConvertedRows]:
        for blocks in _chunks(kind, shape, stored):
            values = repacking.values(blocks).reshape(-1, shape[-1])
            if repacking.pack is None:
                yield _narrowed(values, repacking.dtype, origin)
            else:
                yield ConvertedRows(repacking.pack(blocks).reshape(-1), values)

    return converted(name, repacking.dtype, shape, origin, convert)


def widen(
    name: str, kind: TensorKind, shape: tuple[int, ...], stored: Bytes, origin: Origin
) -> SourceTensor:
    """A tensor of any type as f32, which is what vectors are read as."""

    def convert() -> Iterator[ConvertedRows]:
        for blocks in _chunks(kind, shape, stored):
            yield _narrowed(_values(kind, blocks).reshape(-1, shape[-1]), F32, origin)

    return converted(name, F32, shape, origin, convert)


def _values(kind: TensorKind, blocks: Array) -> Array:
    if kind.name in REPACKED:
        return REPACKED[kind.name].values(blocks)
    return dequantise(blocks, SUPPORTED[kind.name], (len(blocks), kind.block))


def _chunks(kind: TensorKind, shape: tuple[int, ...], stored: Bytes) -> Iterator[Array]:
    """Some rows at a time: (blocks, block bytes)."""
    rows = stored.reshape(-1, shape[-1] // kind.block * kind.block_bytes)
    for start, stop in row_chunks(len(rows), shape[-1]):
        yield rows[start:stop].reshape(-1, kind.block_bytes)


def _narrowed(values: Array, dtype: DType, origin: Origin) -> ConvertedRows:
    greatest = np.abs(values, where=np.isfinite(values), out=np.zeros_like(values)).max()
    if greatest > _GREATEST[dtype]:
        problem = f"holds {greatest:.3g}, more than {dtype} does, which it is to become"
        raise ModelFileError(origin.path, f"tensor {origin.name!r}", origin.offset, problem)
    return ConvertedRows(quantise(values, dtype).reshape(-1), values)


def _as_q6_k(unpack: Callable[[Array], SuperBlocks]) -> Repacking:
    return Repacking(Q6_K, partial(_read, unpack), lambda blocks: _q6_k(unpack(blocks)))


def _as_q4_0(unpack: Callable[[Array], SuperBlocks]) -> Repacking:
    return Repacking(Q4_0, partial(_read, unpack), lambda blocks: _q4_0(unpack(blocks)))


def _read(unpack: Callable[[Array], SuperBlocks], blocks: Array) -> Array:
    return unpack(blocks).multiplied().values()


def _q6_k(blocks: SuperBlocks) -> Array:
    """The very values, unless the scale is too small for a half; q is in -32..31."""
    scales = np.repeat(blocks.scales, 16 // blocks.scales.shape[1], axis=1)
    return pack_q6_k(blocks.scale, scales, blocks.q)


def _q4_0(blocks: SuperBlocks) -> Array:
    """The very values; all scales are 1, and q is in -8..7."""
    groups = blocks.q.reshape(-1, 32)
    return pack_q4_0(np.repeat(blocks.scale, len(groups) // len(blocks.q), axis=0), groups)


def _numbers(dtype: str, blocks: Array) -> Array:
    """(n, bytes of one number) to (n, 1) float64, which holds every number that matters here."""
    return blocks.view(dtype).astype(np.float64)


REPACKED = {
    "TQ1_0": _as_q4_0(small.unpack_tq1_0),
    "TQ2_0": _as_q4_0(small.unpack_tq2_0),
    "NVFP4": Repacking(BF16, partial(_read, small.unpack_nvfp4)),
    "IQ1_S": _as_q6_k(lattices.unpack_iq1_s),
    "IQ1_M": _as_q6_k(lattices.unpack_iq1_m),
    "IQ2_XXS": Repacking(F16, partial(_read, lattices.unpack_iq2_xxs)),
    "IQ2_XS": Repacking(F16, partial(_read, lattices.unpack_iq2_xs)),
    "IQ2_S": Repacking(F16, partial(_read, lattices.unpack_iq2_s)),
    "IQ3_XXS": _as_q6_k(lattices.unpack_iq3_xxs),
    "IQ3_S": _as_q6_k(lattices.unpack_iq3_s),
    "F64": Repacking(F32, partial(_numbers, "<f8")),
    "I8": Repacking(BF16, partial(_numbers, "<i1")),
    "I16": Repacking(F32, partial(_numbers, "<i2")),
    "I32": Repacking(F32, partial(_numbers, "<i4")),
    "I64": Repacking(F32, partial(_numbers, "<i8")),
}

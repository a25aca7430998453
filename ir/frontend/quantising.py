"""A model whose matrices are quantised as they are read, whatever its file holds them as.

The head weighs more than other matrices, for its errors are those of logits, and it takes more
bits, as GGUF's tools have it: Q8_0, or Q6_K beside Q4_K.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from inferflux.ir.frontend.conversion import GREATEST_F16, converted, row_chunks
from inferflux.ir.frontend.source import ConvertedRows, ModelFileError, ModelSource, SourceTensor
from inferflux.ir.graph import Array
from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import Q4_0, Q4_1, Q4_K, Q6_K, Q8_0, DType

QUANTISERS = {dtype.name: dtype for dtype in (Q4_0, Q4_1, Q8_0, Q4_K, Q6_K)}
_HEADS = {Q4_0: Q8_0, Q4_1: Q8_0, Q4_K: Q6_K}


def quantised(source: ModelSource, dtype: DType) -> ModelSource:
    """The same model, its matrices of ``dtype``; what has fewer bits or no whole blocks stays."""
    tensors = {
        name: _quantised(tensor, to) if (to := _becomes(source, tensor, dtype)) else tensor
        for name, tensor in source.tensors.items()
    }
    return replace(source, tensors=MappingProxyType(tensors), quantised_to=dtype.name)


def matrices_that_stay(source: ModelSource, dtype: DType) -> list[SourceTensor]:
    """Those that have more bits than ``dtype``, and rows that are not whole blocks of it."""
    return [
        tensor
        for tensor in source.tensors.values()
        if _is_wider(tensor, dtype_of := _dtype(source, tensor, dtype))
        and tensor.shape[-1] % dtype_of.block
    ]


def _becomes(source: ModelSource, tensor: SourceTensor, dtype: DType) -> DType | None:
    to = _dtype(source, tensor, dtype)
    return to if _is_wider(tensor, to) and tensor.shape[-1] % to.block == 0 else None


def _dtype(source: ModelSource, tensor: SourceTensor, dtype: DType) -> DType:
    head = "output.weight" if "output.weight" in source.tensors else "token_embd.weight"
    return _HEADS.get(dtype, dtype) if tensor.name == head else dtype


def _is_wider(tensor: SourceTensor, dtype: DType) -> bool:
    return _is_matrix(tensor) and _bits(tensor.dtype) > _bits(dtype)


def _is_matrix(tensor: SourceTensor) -> bool:
    """One, or one for each expert.  Routers stay: other logits choose other experts."""
    is_vectors = len(tensor.shape) == 1 or tensor.name.endswith(".bias")
    return not is_vectors and "ffn_gate_inp" not in tensor.name


def _bits(dtype: DType) -> float:
    return dtype.block_bytes * 8 / dtype.block


def _quantised(tensor: SourceTensor, dtype: DType) -> SourceTensor:
    def convert() -> Iterator[ConvertedRows]:
        for values in _values(tensor):
            _require_finite(tensor, values)
            yield ConvertedRows(quantise(values, dtype).reshape(-1), values)

    return converted(tensor.name, dtype, tensor.shape, tensor.origin, convert)


def _values(tensor: SourceTensor) -> Iterator[Array]:
    """Some rows at a time, as the file means them."""
    if tensor.convert is not None:
        yield from (rows.values for rows in tensor.convert())
        return
    *counts, width = tensor.shape
    rows = tensor.raw.reshape(math.prod(counts), -1)
    for start, stop in row_chunks(len(rows), width):
        yield dequantise(rows[start:stop], tensor.dtype, (stop - start, width))


def _require_finite(tensor: SourceTensor, values: Array) -> None:
    greatest = np.abs(values).max()
    if not greatest <= GREATEST_F16:  # what a scale of one weight may need to be
        problem = f"holds {greatest:.3g}: it cannot be quantised; compile it as it is"
        origin = tensor.origin
        raise ModelFileError(origin.path, f"tensor {origin.name!r}", origin.offset, problem)

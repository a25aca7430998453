"""Tensors that are part of another, or another form of it: made when they are read, never kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from inferflux.ir.frontend.conversion import converted
from inferflux.ir.frontend.source import (
    Bytes,
    ConvertedRows,
    ModelFileError,
    SourceTensor,
    UnsupportedModel,
)
from inferflux.ir.graph import Array
from inferflux.ir.quantised import dequantise
from inferflux.ir.types import F32


def rows_of(tensor: SourceTensor, name: str, rows: Array) -> SourceTensor:
    """Rows of a matrix by their ascending numbers; elements of a vector."""
    shape = (len(rows), *tensor.shape[1:])
    first, last = int(rows[0]), int(rows[-1])
    is_range = last - first == len(rows) - 1
    chosen = slice(first, last + 1) if is_range else rows  # a range is a view of the file, no copy

    def read() -> Bytes:
        every: Bytes = tensor.raw.reshape(tensor.shape[0], -1)
        return every[chosen].reshape(-1)

    if tensor.convert is None or len(shape) == 1:
        return replace(tensor, name=name, shape=shape, read=read, convert=None)
    return converted(name, tensor.dtype, shape, tensor.origin, lambda: _chosen(tensor, rows))


def transposed(tensor: SourceTensor) -> SourceTensor:
    """A matrix of floats: blocks lie along rows, so of a block type there is no transpose."""
    if tensor.dtype.is_quantised or tensor.convert is not None or len(tensor.shape) != 2:
        problem = f"is {list(tensor.shape)} of {tensor.origin.kind}; only floats are transposed"
        raise wrong_tensor(tensor, problem, UnsupportedModel)

    def read() -> Bytes:
        values = tensor.raw.view(f"u{tensor.dtype.block_bytes}").reshape(tensor.shape)
        return np.ascontiguousarray(values.T).view(np.uint8).reshape(-1)

    return replace(tensor, shape=tensor.shape[::-1], read=read)


def turned(tensor: SourceTensor) -> SourceTensor:
    """Experts' matrices of floats [E, K, N] as [E, N, K]; blocks lie along rows as they are."""
    if tensor.dtype.is_quantised or len(tensor.shape) != 3:
        return tensor
    num_experts, width, rows = tensor.shape

    def read() -> Bytes:
        values = tensor.raw.view(f"u{tensor.dtype.block_bytes}").reshape(tensor.shape)
        return np.ascontiguousarray(values.swapaxes(1, 2)).view(np.uint8).reshape(-1)

    return replace(tensor, shape=(num_experts, rows, width), read=read)


def plus_one(tensor: SourceTensor) -> SourceTensor:
    """A vector that is stored less one."""
    if tensor.dtype != F32:
        raise wrong_tensor(
            tensor, f"is {tensor.type}; vectors are read as f32 only", UnsupportedModel
        )
    return replace(tensor, read=lambda: (tensor.raw.view("<f4") + np.float32(1)).view(np.uint8))


def flattened(tensor: SourceTensor) -> SourceTensor:
    """A small matrix of floats as one vector, in float32."""
    shape = (math.prod(tensor.shape),)

    def read() -> Bytes:
        return dequantise(tensor.raw, tensor.dtype, shape).view(np.uint8)

    return replace(tensor, dtype=F32, shape=shape, read=read, convert=None)


def as_matrix(tensor: SourceTensor) -> SourceTensor:
    """A vector as a matrix of one row, as some files have it already."""
    return replace(tensor, shape=(1, tensor.shape[-1])) if len(tensor.shape) == 1 else tensor


def joined(name: str, tensors: Sequence[SourceTensor]) -> SourceTensor:
    """Vectors one after the other; their origin is the first one's."""
    for tensor in tensors:
        if tensor.dtype != F32 or len(tensor.shape) != 1:
            raise wrong_tensor(
                tensor, f"is {tensor.type}; vectors are read as f32 only", UnsupportedModel
            )
    shape = (sum(tensor.shape[0] for tensor in tensors),)

    def read() -> Bytes:
        return np.concatenate([tensor.raw for tensor in tensors])

    return replace(tensors[0], name=name, shape=shape, read=read, convert=None)


def _chosen(tensor: SourceTensor, rows: Array) -> Iterator[ConvertedRows]:
    """All of them at once: what is chosen of a chunk need not be whole panels."""
    assert tensor.convert is not None, "only such tensors are asked for"
    raw: list[Array] = []
    values: list[Array] = []
    start = 0
    for chunk in tensor.convert():
        stop = start + len(chunk.values)
        inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
        raw.append(chunk.raw.reshape(len(chunk.values), -1)[inside])
        values.append(chunk.values[inside])
        start = stop
    yield ConvertedRows(np.concatenate(raw).reshape(-1), np.concatenate(values))


def wrong_tensor(
    tensor: SourceTensor, problem: str, kind: type[ModelFileError] = ModelFileError
) -> ModelFileError:
    """The error of a tensor that cannot be taken so, at its row in the file's table."""
    origin = tensor.origin
    return kind(origin.path, f"tensor {origin.name!r}", origin.entry_offset, problem)

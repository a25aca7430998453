"""The tensors of a directory as the graph takes them: matrices as stored, vectors in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from inferflux.ir.frontend.safetensors import StoredTensor
from inferflux.ir.frontend.source import (
    Bytes,
    ModelFileError,
    Origin,
    SourceTensor,
    UnsupportedModel,
)
from inferflux.ir.quantised import dequantise
from inferflux.ir.types import BF16, F16, F32

_DTYPES = {"F32": F32, "F16": F16, "BF16": BF16}
_DERIVED = "rotary_emb.inv_freq"  # a table of the module, which old files keep beside its weights


def source_tensors(
    stored: Mapping[str, StoredTensor], graph_name: Callable[[str], str]
) -> dict[str, SourceTensor]:
    """By the graph's names.  Raises UnsupportedModel for what holds no numbers that are known."""
    tensors: dict[str, SourceTensor] = {}
    for tensor in _converted(stored, graph_name):
        if tensor.name in tensors:
            origin, other = tensor.origin, tensors[tensor.name].origin
            problem = f"is the same weight as {other.name!r}"
            field = f"tensor {origin.name!r}"
            raise ModelFileError(origin.path, field, origin.entry_offset, problem)
        tensors[tensor.name] = tensor
    return tensors


def _converted(
    stored: Mapping[str, StoredTensor], graph_name: Callable[[str], str]
) -> Iterator[SourceTensor]:
    for name, tensor in stored.items():
        if not name.endswith(_DERIVED):
            yield plain(tensor, graph_name(name))


def plain(stored: StoredTensor, name: str) -> SourceTensor:
    """A tensor of floats, as it lies there; one of one dimension is widened to float32."""
    dtype = _DTYPES.get(stored.kind)
    if dtype is None:
        known = ", ".join(_DTYPES)
        problem = f"is of {stored.kind}, not one of {known} and not part of a known quantisation"
        field = f"tensor {stored.name!r}.dtype"
        raise UnsupportedModel(stored.path, field, stored.entry_offset, problem)
    if dtype == F32 or len(stored.shape) != 1:
        return SourceTensor(name, dtype, stored.shape, lambda: stored.raw, origin_of(stored))
    return SourceTensor(name, F32, stored.shape, lambda: _widened(stored), origin_of(stored))


def origin_of(stored: StoredTensor, kind: str | None = None) -> Origin:
    """``kind`` is said where several tensors are one weight."""
    return Origin(stored.path, stored.name, kind or stored.kind, stored.offset, stored.entry_offset)


def _widened(stored: StoredTensor) -> Bytes:
    values: np.ndarray[Any, Any] = dequantise(stored.raw, _DTYPES[stored.kind], stored.shape)
    return values.view(np.uint8)

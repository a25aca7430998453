"""The tensors of a directory as the graph takes them: matrices as stored, vectors in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from inferflux.ir.frontend.huggingface.quantisation import Scheme
from inferflux.ir.frontend.huggingface.quantisation.fp8 import unscaled
from inferflux.ir.frontend.huggingface.quantisation.module import modules
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

DTYPES = {"F32": F32, "F16": F16, "BF16": BF16}


def source_tensors(
    stored: Mapping[str, StoredTensor], scheme: Scheme | None, graph_name: Callable[[str], str]
) -> dict[str, SourceTensor]:
    """By the graph's names.  Raises UnsupportedModel for what holds no numbers that are known."""
    tensors: dict[str, SourceTensor] = {}
    for tensor in _converted(stored, scheme, graph_name):
        if tensor.name in tensors:
            origin, other = tensor.origin, tensors[tensor.name].origin
            problem = f"is the same weight as {other.name!r}"
            field = f"tensor {origin.name!r}"
            raise ModelFileError(origin.path, field, origin.entry_offset, problem)
        tensors[tensor.name] = tensor
    return tensors


def _converted(
    stored: Mapping[str, StoredTensor], scheme: Scheme | None, graph_name: Callable[[str], str]
) -> Iterator[SourceTensor]:
    for module in modules(stored):
        used: frozenset[str] = frozenset()
        if scheme is not None:
            weight = scheme.weight(module, graph_name(f"{module.name}.weight"))
            if weight is not None:
                used = scheme.parts
                yield weight
        for suffix, tensor in module.parts.items():
            if suffix not in used:
                yield plain(tensor, graph_name(tensor.name))


def plain(stored: StoredTensor, name: str) -> SourceTensor:
    """A tensor of floats, as it lies there; one of one dimension is widened to float32."""
    if stored.kind == "F8_E4M3" and len(stored.shape) == 2:
        return unscaled(stored, name, _origin(stored))
    dtype = DTYPES.get(stored.kind)
    if dtype is None:
        known = ", ".join(DTYPES)
        problem = f"is of {stored.kind}, not one of {known} and not part of a known quantisation"
        field = f"tensor {stored.name!r}.dtype"
        raise UnsupportedModel(stored.path, field, stored.entry_offset, problem)
    if dtype == F32 or len(stored.shape) != 1:
        return SourceTensor(name, dtype, stored.shape, lambda: stored.raw, _origin(stored))
    return SourceTensor(name, F32, stored.shape, lambda: _widened(stored), _origin(stored))


def _origin(stored: StoredTensor) -> Origin:
    return Origin(stored.path, stored.name, stored.kind, stored.offset, stored.entry_offset)


def _widened(stored: StoredTensor) -> Bytes:
    values: np.ndarray[Any, Any] = dequantise(stored.raw, DTYPES[stored.kind], stored.shape)
    return values.view(np.uint8)

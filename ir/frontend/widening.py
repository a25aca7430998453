"""A model as it is computed: in float32, no matrix is rounded but those that its file rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from inferflux.ir.frontend.conversion import converted
from inferflux.ir.frontend.source import ConvertedRows, ModelSource, SourceTensor
from inferflux.ir.quantised import quantise
from inferflux.ir.types import BF16, F16, F32


def as_computed(source: ModelSource, numerics: str) -> ModelSource:
    """The same model; under ``float32`` what was to become F16 or BF16 becomes F32."""
    if numerics != "float32":
        return source
    tensors = {
        name: _widened(tensor) if _is_rounded(tensor) else tensor
        for name, tensor in source.tensors.items()
    }
    return replace(source, tensors=MappingProxyType(tensors))


def _is_rounded(tensor: SourceTensor) -> bool:
    """Made of what the file holds in another form, in a type that may not hold its values."""
    is_narrow = tensor.dtype in (F16, BF16)
    return (
        is_narrow and tensor.convert is not None and tensor.origin.kind != tensor.dtype.name.upper()
    )


def _widened(tensor: SourceTensor) -> SourceTensor:
    def convert() -> Iterator[ConvertedRows]:
        assert tensor.convert is not None, "only converted tensors are widened"
        for rows in tensor.convert():
            yield ConvertedRows(quantise(rows.values, F32).reshape(-1), rows.values)

    return converted(tensor.name, F32, tensor.shape, tensor.origin, convert)

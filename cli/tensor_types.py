"""What becomes of a model's tensor types when it is compiled, said without reading a tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from inferflux.ir.frontend.source import SourceTensor
from inferflux.ir.types import F32, DType

_EXACTLY: Final = frozenset(  # the type they become has all of their values
    {"TQ1_0", "TQ2_0", "NVFP4", "IQ1_S", "IQ1_M", "IQ3_XXS", "IQ3_S", "I8", "I16", "F8_E4M3"}
)
_INTEGERS: Final = ("GPTQ int", "AWQ int", "compressed int")  # with a scale for a group of columns
_SOMEHOW: Final = "re-packed; `compile` says how far values move"
_NEARLY: Final[Mapping[str, str]] = {
    "IQ2_XXS": "re-packed, to 2^-11 of a weight",
    "IQ2_XS": "re-packed, to 2^-11 of a weight",
    "IQ2_S": "re-packed, to 2^-11 of a weight",
    "F64": "re-packed, to 24 bits",
    "I32": "re-packed, to 24 bits",
    "I64": "re-packed, to 24 bits",
}


def type_rows(tensors: Iterable[SourceTensor]) -> list[dict[str, Any]]:
    """By the type in the file and the one that it becomes; bytes are of the latter."""
    kept = list(tensors)
    count = Counter(map(_row_of, kept))
    size: Counter[tuple[str, str, str]] = Counter()
    for tensor in kept:
        size[_row_of(tensor)] += tensor.type.nbytes
    return [
        {
            "type": kind,
            "compiled_to": dtype,
            "tensors": number,
            "bytes": size[kind, dtype, how],
            "how": how,
        }
        for (kind, dtype, how), number in count.most_common()
    ]


def _row_of(tensor: SourceTensor) -> tuple[str, str, str]:
    return tensor.origin.kind.lower(), tensor.dtype.name, what_becomes_of(tensor)


def what_becomes_of(tensor: SourceTensor) -> str:
    """Whether kernels read a tensor as it is, or re-packed, and how exactly."""
    how = how_it_becomes(tensor.origin.kind, tensor.dtype)
    is_widened = len(tensor.shape) == 1 and tensor.dtype == F32
    return "re-packed, exactly" if how == _SOMEHOW and is_widened else how


def how_it_becomes(kind: str, dtype: DType) -> str:
    """The same of a matrix of the file's type ``kind`` that kernels read as ``dtype``."""
    if kind.lower() == dtype.name:
        return "as it is"
    if kind in _NEARLY:
        return _NEARLY[kind]
    if kind in _EXACTLY:
        return "re-packed, exactly"
    if kind.startswith(_INTEGERS) and dtype.is_quantised:
        return "re-packed, exactly where f16 holds a scale"
    return _SOMEHOW

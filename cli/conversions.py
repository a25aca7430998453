"""What compiling made of a model's tensor types, said as warnings and as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferflux.codegen.artifact.compiled import Conversion, ModelFacts
from inferflux.ir.frontend import ModelSource
from inferflux.ir.frontend.quantising import matrices_that_stay
from inferflux.ir.types import DType

_BILLION = 10**9


def warnings(facts: ModelFacts) -> Iterator[str]:
    """A line for each pair of types that moved values; what is exact needs no warning."""
    for each in facts.conversions:
        if each.max_error_ppb:
            plural = "" if each.tensors == 1 else "s"
            yield (
                f"{each.tensors} {each.kind} tensor{plural} became {each.dtype}: rms error "
                f"{_relative(each.rms_error_ppb)} of a tensor's own rms (worst: {each.worst}), "
                f"greatest {_relative(each.max_error_ppb)} of its greatest value"
            )


def stay_warnings(source: ModelSource, dtype: DType) -> Iterator[str]:
    """A line for each width that has no whole blocks of the type that was asked for."""
    stay = matrices_that_stay(source, dtype)
    for width in sorted({tensor.shape[-1] for tensor in stay}):
        alike = [tensor for tensor in stay if tensor.shape[-1] == width]
        yield (
            f"{len(alike)} of {len(source.tensors)} tensors stay as they are, such as "
            f"{alike[0].name}: rows of {width} are no whole blocks of {dtype.block} ({dtype})"
        )


def rows(facts: ModelFacts) -> list[dict[str, Any]]:
    return [_row(each) for each in facts.conversions]


def _row(each: Conversion) -> dict[str, Any]:
    return {
        "from": each.kind,
        "to": each.dtype,
        "tensors": each.tensors,
        "rms_error": each.rms_error_ppb / _BILLION,
        "max_error": each.max_error_ppb / _BILLION,
        "worst": each.worst,
    }


def _relative(ppb: int) -> str:
    return f"{ppb / _BILLION:.2g}"

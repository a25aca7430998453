"""What compiling made of a model's tensor types, said as warnings and as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferflux.codegen.artifact.compiled import Conversion, ModelFacts

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

"""Formulas of elementwise ops as one op: by themselves, or of a product as it is computed."""

from __future__ import annotations

from typing import Any

from inferflux.ir.graph import Array, gives
from inferflux.ir.ops.checks import narrowed
from inferflux.ir.ops.formula import type_of, value_of
from inferflux.ir.ops.linear import linear
from inferflux.ir.quantised import Activations, WeightRows, narrow
from inferflux.ir.types import DTYPES, F32, TensorType

PRODUCT = "product"  # what a formula calls the product that it is of
OPERANDS = ("a", "b", "c", "d", "e", "f")


@gives("x")
def elementwise(
    a: TensorType,
    b: TensorType | None = None,
    c: TensorType | None = None,
    d: TensorType | None = None,
    e: TensorType | None = None,
    f: TensorType | None = None,
    *,
    formula: str,
    to: str = "f32",
) -> TensorType:
    """formula(a, b, ...), elementwise ops by name: ``add(a, scale(b, by=0.5))``.

    f32[T, D] or f32[D] each -> f32, i8x32 or bf16 [T, D]
    """
    return _result(type_of(formula, _given(a, b, c, d, e, f)), to)


@elementwise.meaning
def _(*operands: Array, formula: str, to: str = "f32") -> Array | Activations:
    return _narrow(value_of(formula, _given(*operands)), to)


@gives("x")
def linear_then(
    x: TensorType,
    weight: TensorType,
    a: TensorType | None = None,
    b: TensorType | None = None,
    c: TensorType | None = None,
    d: TensorType | None = None,
    e: TensorType | None = None,
    f: TensorType | None = None,
    *,
    formula: str,
    to: str = "f32",
) -> TensorType:
    """formula(product, a, b, ...) of product = linear(x, weight): ``add_bias(product, a)``.

    [T, K], [N, K], f32[T, N] or f32[N] each -> f32, i8x32 or bf16 [T, N]
    """
    product = linear.rule(x, weight)
    assert isinstance(product, TensorType)
    return _result(type_of(formula, {PRODUCT: product, **_given(a, b, c, d, e, f)}), to)


@linear_then.meaning
def _(
    x: Array | Activations,
    weight: Array | WeightRows,
    *operands: Array,
    formula: str,
    to: str = "f32",
) -> Array | Activations:
    product = linear.numpy(x, weight)
    return _narrow(value_of(formula, {PRODUCT: product, **_given(*operands)}), to)


def _given(*operands: Any) -> dict[str, Any]:
    """By name, those that were not left out."""
    named = zip(OPERANDS, operands, strict=False)
    return {name: operand for name, operand in named if operand is not None}


def _result(type_: TensorType, to: str) -> TensorType:
    return type_ if to == F32.name else narrowed("the result", type_, to)


def _narrow(x: Array, to: str) -> Array | Activations:
    return x if to == F32.name else narrow(x, DTYPES[to])

"""Choosing the rows that want logits."""

from __future__ import annotations

from inferflux.ir.graph import Array, gives
from inferflux.ir.ops.checks import require_f32, require_i32, require_rows
from inferflux.ir.types import F32, TensorType


@gives("taken")
def take_rows(x: TensorType, rows: TensorType) -> TensorType:
    """x[rows].  f32[T, D], i32[R] -> f32[R, D]"""
    require_f32(x=x)
    require_rows(x=x)
    require_i32(rows=rows)
    return TensorType(F32, (rows.shape[0], x.shape[1]))


@take_rows.meaning
def _(x: Array, rows: Array) -> Array:
    return x[rows]

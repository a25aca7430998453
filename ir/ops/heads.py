"""What is done to each head by itself in a latent attention."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, op, require
from inferflux.ir.ops.checks import require_f32, require_rows, require_same_length, static
from inferflux.ir.quantised import WeightRows, to_f32
from inferflux.ir.types import F32, FLOATS, INT8_ROWS, TensorType


@op
def linear_heads(x: TensorType, weight: TensorType) -> TensorType:
    """x[:, h] @ weight[h].T for every head h, in float32.  f32[T, H*A], [H, B, A] -> f32[T, H*B]"""
    require_f32(x=x)
    require_rows(x=x)
    require(len(weight.shape) == 3, f"weight is {weight}, must have three dimensions")
    heads, outputs, inputs = map(static, weight.shape)
    fits = x.shape[1] == heads * inputs
    require(fits, f"rows of x {x} do not fit {heads} heads of weight {weight}")
    stored = weight.dtype in FLOATS or (weight.dtype.is_quantised and weight.dtype not in INT8_ROWS)
    require(stored, f"weight is {weight}, must be a float or quantised")
    return TensorType(F32, (x.shape[0], heads * outputs))


@linear_heads.meaning
def _(x: Array, weight: Array | WeightRows) -> Array:
    matrices = to_f32(weight)  # (H, B, A)
    heads = x.reshape(len(x), len(matrices), -1)
    product = np.einsum("tha,hba->thb", heads, matrices, optimize=True)
    return np.ascontiguousarray(product.reshape(len(x), -1), np.float32)


@gives("heads")
def join_heads(x: TensorType, y: TensorType, *, num_heads: int) -> TensorType:
    """Every head's elements of x, then those of y.  f32[T, H*A], f32[T, H*B] -> f32[T, H*(A+B)]"""
    require_f32(x=x, y=y)
    require_rows(x=x, y=y)
    require_same_length(x=x, y=y)
    widths = static(x.shape[1]), static(y.shape[1])
    fits = num_heads > 0 and not any(width % num_heads for width in widths)
    require(fits, f"x {x} and y {y} are not {num_heads} heads each")
    return TensorType(F32, (x.shape[0], sum(widths)))


@join_heads.meaning
def _(x: Array, y: Array, *, num_heads: int) -> Array:
    heads = [rows.reshape(len(rows), num_heads, -1) for rows in (x, y)]
    return np.concatenate(heads, axis=-1).reshape(len(x), -1)

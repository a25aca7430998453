"""Products with weight matrices, alone and with what directly follows them."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, op, require
from inferflux.ir.ops.checks import require_product
from inferflux.ir.quantised import (
    Activations,
    BfloatRows,
    QuantisedRows,
    WeightRows,
    dot_blocks,
    round_bf16,
    to_f32,
)
from inferflux.ir.types import F32, TensorType


@op
def linear(x: TensorType, weight: TensorType) -> TensorType:
    """x @ weight.T, summed in float32.  [T, K], [N, K] -> f32[T, N]

    Integer rows meet the weight's blocks exactly; for bf16 rows the weight is rounded to bf16.
    """
    require_product(x, weight)
    return TensorType(F32, (x.shape[0], weight.shape[0]))


@linear.meaning
def _(x: Array | Activations, weight: Array | WeightRows) -> Array:
    if isinstance(x, QuantisedRows):
        assert isinstance(weight, WeightRows), "the type rule lets integer rows meet only blocks"
        return dot_blocks(x, weight)
    if isinstance(x, BfloatRows):
        return x.values @ round_bf16(to_f32(weight)).T
    return x @ to_f32(weight).T


@gives("x")
def linear_residual(x: TensorType, weight: TensorType, residual: TensorType) -> TensorType:
    """residual + linear(x, weight).  [T, K], [N, K], f32[T, N] -> f32[T, N]"""
    require_product(x, weight)
    product = TensorType(F32, (x.shape[0], weight.shape[0]))
    require(product == residual, f"residual {residual} is not like the product {product}")
    return residual


@linear_residual.meaning
def _(x: Array | Activations, weight: Array | WeightRows, residual: Array) -> Array:
    return np.asarray(residual + linear.numpy(x, weight))

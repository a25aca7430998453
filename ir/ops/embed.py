"""Token ids to vectors."""

from __future__ import annotations

from inferflux.ir.graph import Array, gives, require
from inferflux.ir.ops.checks import require_i32, require_rows
from inferflux.ir.quantised import WeightRows, to_f32
from inferflux.ir.types import F32, I32, INT8_ROWS, TensorType


@gives("x")
def embed(tokens: TensorType, weight: TensorType) -> TensorType:
    """weight[tokens], dequantised.  i32[T], [V, D] -> f32[T, D]"""
    require_i32(tokens=tokens)
    require_rows(weight=weight)
    require(weight.dtype not in (I32, *INT8_ROWS), f"weight is {weight}, must be a weight's dtype")
    return TensorType(F32, (tokens.shape[0], weight.shape[1]))


@embed.meaning
def _(tokens: Array, weight: Array | WeightRows) -> Array:
    return to_f32(weight[tokens])

"""Normalisation of rows, and their quantisation on the way into integer dot products."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, require
from inferflux.ir.ops.checks import narrowed, require_f32, require_rows
from inferflux.ir.quantised import Activations, narrow
from inferflux.ir.types import DTYPES, TensorType


@gives("norm")
def rms_norm(x: TensorType, weight: TensorType, *, eps: float) -> TensorType:
    """x * rsqrt(mean(x**2, axis=-1) + eps) * weight.  f32[T, D], f32[D] -> f32[T, D]"""
    require_f32(x=x, weight=weight)
    require_rows(x=x)
    require(weight.shape == x.shape[-1:], f"weight {weight} does not span the rows of {x}")
    return x


@rms_norm.meaning
def _(x: Array, weight: Array, *, eps: float) -> Array:
    mean_square = np.mean(x * x, axis=-1, keepdims=True)  # (T, 1)
    return np.asarray(x / np.sqrt(mean_square + np.float32(eps)) * weight)


@gives("quantised")
def quantise(x: TensorType, *, to: str = "i8x32") -> TensorType:
    """i8x32, per 32 of a row: scale = amax / 127, q = rint(x * 127 / amax); bf16: the nearest.

    f32[T, D] -> i8x32[T, D] or bf16[T, D]
    """
    require_f32(x=x)
    require_rows(x=x)
    return narrowed("x", x, to)


@quantise.meaning
def _(x: Array, *, to: str = "i8x32") -> Activations:
    return narrow(x, DTYPES[to])


@gives("norm")
def rms_norm_quantise(
    x: TensorType, weight: TensorType, *, eps: float, to: str = "i8x32"
) -> TensorType:
    """quantise(rms_norm(x, weight, eps), to).  f32[T, D], f32[D] -> i8x32 or bf16 [T, D]"""
    rms_norm.rule(x, weight, eps=eps)
    return narrowed("x", x, to)


@rms_norm_quantise.meaning
def _(x: Array, weight: Array, *, eps: float, to: str = "i8x32") -> Activations:
    return narrow(rms_norm.numpy(x, weight, eps=eps), DTYPES[to])

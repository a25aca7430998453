"""Normalisation of rows and of their heads, and quantisation on the way into integer products."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, require
from inferflux.ir.ops.checks import narrowed, require_f32, require_heads, require_rows
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


@gives("norm")
def layer_norm(
    x: TensorType, weight: TensorType, bias: TensorType | None = None, *, eps: float
) -> TensorType:
    """(x - mean(x)) * rsqrt(var(x) + eps) * weight + bias, over each row; the bias may be left out.

    f32[T, D], f32[D], f32[D] or none -> f32[T, D]
    """
    rms_norm.rule(x, weight, eps=eps)
    require(bias in (None, weight), f"bias {bias} is not like weight {weight}")
    return x


@layer_norm.meaning
def _(x: Array, weight: Array, bias: Array | None = None, *, eps: float) -> Array:
    normed = _standardised(x, eps) * weight
    return np.asarray(normed if bias is None else normed + bias)


@gives("norm")
def layer_norm_quantise(
    x: TensorType,
    weight: TensorType,
    bias: TensorType | None = None,
    *,
    eps: float,
    to: str = "i8x32",
) -> TensorType:
    """quantise(layer_norm(x, weight, bias, eps), to).  Operands as layer_norm -> int8 or bf16"""
    layer_norm.rule(x, weight, bias, eps=eps)
    return narrowed("x", x, to, at_once=True)


@layer_norm_quantise.meaning
def _(
    x: Array, weight: Array, bias: Array | None = None, *, eps: float, to: str = "i8x32"
) -> Activations:
    return narrow(layer_norm.numpy(x, weight, bias, eps=eps), DTYPES[to])


HEAD_NORMS = ("rms", "layer")  # what is taken from a head before it is scaled: nothing, its mean


@gives("norm")
def norm_heads(
    x: TensorType, weight: TensorType, *, eps: float, head_dim: int, kind: str = "rms"
) -> TensorType:
    """rms_norm or layer_norm of every head by itself, with one weight for all or one for each.

    f32[T, H*D_h], f32[D_h] or f32[H*D_h] -> f32[T, H*D_h]
    """
    require_f32(x=x, weight=weight)
    require_heads("x", x, head_dim)
    spans = weight.shape in ((head_dim,), x.shape[1:])
    require(spans, f"weight {weight} spans neither a head of {head_dim} nor the rows of {x}")
    require(kind in HEAD_NORMS, f"kind is {kind!r}, must be one of {HEAD_NORMS}")
    return x


@norm_heads.meaning
def _(x: Array, weight: Array, *, eps: float, head_dim: int, kind: str = "rms") -> Array:
    heads = x.reshape(len(x), -1, head_dim)  # (T, H, D_h)
    ones = np.ones(1, np.float32)
    normed = _standardised(heads, eps) if kind == "layer" else rms_norm.numpy(heads, ones, eps=eps)
    return np.asarray((normed * weight.reshape(-1, head_dim)).reshape(x.shape))


def _standardised(x: Array, eps: float) -> Array:
    """Mean 0 and, but for eps, variance 1 along the last axis."""
    centred = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + np.float32(eps)))


@gives("quantised")
def quantise(x: TensorType, *, to: str = "i8x32") -> TensorType:
    """i8x32, per 32 of a row: scale = amax / 127, q = rint(x * 127 / amax); i8x256, per 256.

    bf16: the nearest.  f32[T, D] -> i8x32, i8x256 or bf16 [T, D]
    """
    require_f32(x=x)
    require_rows(x=x)
    return narrowed("x", x, to, at_once=True)


@quantise.meaning
def _(x: Array, *, to: str = "i8x32") -> Activations:
    return narrow(x, DTYPES[to])


@gives("norm")
def rms_norm_quantise(
    x: TensorType, weight: TensorType, *, eps: float, to: str = "i8x32"
) -> TensorType:
    """quantise(rms_norm(x, weight, eps), to).  f32[T, D], f32[D] -> int8 or bf16 [T, D]"""
    rms_norm.rule(x, weight, eps=eps)
    return narrowed("x", x, to, at_once=True)


@rms_norm_quantise.meaning
def _(x: Array, weight: Array, *, eps: float, to: str = "i8x32") -> Activations:
    return narrow(rms_norm.numpy(x, weight, eps=eps), DTYPES[to])

"""What is computed number by number: sums, products, activations, scales and caps of rows."""

from __future__ import annotations

from math import erf, pi, sqrt

import numpy as np

from inferflux.ir.graph import Array, Op, gives, op, require
from inferflux.ir.ops.checks import require_f32, require_rows
from inferflux.ir.types import TensorType


@gives("sum")
def add(x: TensorType, y: TensorType) -> TensorType:
    """x + y, elementwise.  f32[T, D], f32[T, D] -> f32[T, D]"""
    require_f32(x=x, y=y)
    require(x == y, f"operands differ: {x} and {y}")
    return x


@add.meaning
def _(x: Array, y: Array) -> Array:
    return x + y


@gives("biased")
def add_bias(x: TensorType, bias: TensorType) -> TensorType:
    """x + bias, the same for every row.  f32[T, N], f32[N] -> f32[T, N]"""
    require_f32(x=x, bias=bias)
    require_rows(x=x)
    require(bias.shape == x.shape[-1:], f"bias {bias} does not span the rows of {x}")
    return x


@add_bias.meaning
def _(x: Array, bias: Array) -> Array:
    return x + bias


@gives("product")
def multiply(x: TensorType, y: TensorType) -> TensorType:
    """x * y, elementwise.  f32[T, F], f32[T, F] -> f32[T, F]"""
    require_f32(x=x, y=y)
    require(x == y, f"operands differ: {x} and {y}")
    return x


@multiply.meaning
def _(x: Array, y: Array) -> Array:
    return x * y


@gives("scaled")
def scale(x: TensorType, *, by: float) -> TensorType:
    """x * by.  f32[T, D] -> f32[T, D]"""
    require_f32(x=x)
    require_rows(x=x)
    return x


@scale.meaning
def _(x: Array, *, by: float) -> Array:
    return np.asarray(x * np.float32(by))


@gives("capped")
def soft_cap(x: TensorType, *, cap: float) -> TensorType:
    """cap * tanh(x / cap), which never passes cap.  f32[T, D] -> f32[T, D]"""
    require_f32(x=x)
    require_rows(x=x)
    require(cap > 0, f"cap {cap} is not positive")
    return x


@soft_cap.meaning
def _(x: Array, *, cap: float) -> Array:
    return np.asarray(np.float32(cap) * np.tanh(x / np.float32(cap)))


@op
def silu(x: TensorType) -> TensorType:
    """x / (1 + exp(-x)).  f32[T, F] -> f32[T, F]"""
    require_f32(x=x)
    return x


@silu.meaning
def _(x: Array) -> Array:
    decay = np.exp(-np.abs(x))  # of |x|, so that nothing overflows
    return np.asarray(x * np.where(x >= 0, 1, decay) / (1 + decay))


@op
def gelu(x: TensorType) -> TensorType:
    """x * (1 + erf(x / sqrt(2))) / 2, Gaussian error linear units (arXiv:1606.08415).

    f32[T, F] -> f32[T, F]
    """
    require_f32(x=x)
    return x


@gelu.meaning
def _(x: Array) -> Array:
    share = np.vectorize(erf, otypes=[np.float64])(x.astype(np.float64) / sqrt(2))
    return np.asarray(x * (0.5 + 0.5 * share), x.dtype)


@op
def gelu_tanh(x: TensorType) -> TensorType:
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, near gelu (arXiv:1606.08415).

    f32[T, F] -> f32[T, F]
    """
    require_f32(x=x)
    return x


@gelu_tanh.meaning
def _(x: Array) -> Array:
    inner = np.float32(sqrt(2 / pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (1 + np.tanh(inner)))


ACTIVATIONS: dict[str, Op] = {each.name: each for each in (silu, gelu, gelu_tanh)}
ELEMENTWISE: dict[str, Op] = {
    each.name: each for each in (add, add_bias, multiply, scale, soft_cap, silu, gelu, gelu_tanh)
}

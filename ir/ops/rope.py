"""Rotary position embedding: its table and its use."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, op, require
from inferflux.ir.ops.checks import (
    require_f32,
    require_heads,
    require_i32,
    require_rows,
    require_same_length,
    static,
)
from inferflux.ir.types import F32, TensorType

PAIRS = ("adjacent", "halves")  # element 2i turns with 2i + 1, or i with i + D_h/2


@gives("rope")
def rope_table(
    *,
    theta: float,
    head_dim: int,
    length: int,
    factors: tuple[float, ...] = (),
    magnitude: float = 1.0,
    original: int | None = None,
    long_factors: tuple[float, ...] = (),
    growth: float | None = None,
) -> TensorType:
    """Row s is m * cos(s * theta**(-2i / D_h) / factors[i]) for i < D_h/2, then m times the sines.

    -> f32[S, D_h].  Without factors none divides.  A row is turned as a sequence that ends there
    asks for: from row ``original`` on by ``long_factors`` (LongRoPE), or from a base of
    theta * (growth * (s + 1) / original - growth + 1)**(D_h / (D_h - 2)) (dynamic NTK).
    No operands: it is computed once, in float64, and kept beside the weights.
    """
    require(theta > 0, f"theta {theta} is not positive")
    require(length > 0, f"length {length} is not positive")
    require(head_dim > 0 and head_dim % 2 == 0, f"head_dim {head_dim} is not positive and even")
    require(magnitude > 0, f"magnitude {magnitude} is not positive")
    for name, divisors in (("factors", factors), ("long_factors", long_factors)):
        count = len(divisors)
        require(count in (0, head_dim // 2), f"{count} {name} for {head_dim // 2} pairs of a head")
        require(all(each > 0 for each in divisors), f"{name} {divisors} are not all positive")
    by_length = bool(long_factors) + (growth is not None)
    require(by_length < 2, "long_factors and growth are both given")
    needs = original is None or original > 0 if by_length == 0 else (original or 0) > 0
    require(needs, f"original is {original}, must be the length from which rows are turned apart")
    grows = growth is None or (growth >= 1 and head_dim > 2)
    require(grows, f"growth {growth} is below 1, or heads of {head_dim} have one pair")
    return TensorType(F32, (length, head_dim))


@rope_table.meaning
def _(
    *,
    theta: float,
    head_dim: int,
    length: int,
    factors: tuple[float, ...] = (),
    magnitude: float = 1.0,
    original: int | None = None,
    long_factors: tuple[float, ...] = (),
    growth: float | None = None,
) -> Array:
    rows = np.arange(length, dtype=np.float64)[:, None]  # (S, 1)
    divisors = np.array(factors or (1.0,))
    base: float | Array = float(theta)
    if original is not None and long_factors:
        divisors = np.where(rows < original, divisors, np.array(long_factors))  # (S, D_h/2)
    if original is not None and growth is not None:
        stretch = growth * np.maximum(rows + 1, original) / original - growth + 1
        base = base * stretch ** (head_dim / (head_dim - 2))  # (S, 1)
    angles = rows * base ** (-np.arange(0, head_dim, 2) / head_dim) / divisors  # (S, D_h/2)
    table = magnitude * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return table.astype(np.float32)


@op
def rope(
    x: TensorType, positions: TensorType, table: TensorType, *, head_dim: int, pairs: str
) -> TensorType:
    """Turn every pair (a, b) of a head to (a cos - b sin, a sin + b cos), the angle by position.

    A table of R < D_h columns is of the first R of each head; the rest is passed on.
    f32[T, H*D_h], i32[T], f32[S, R] -> f32[T, H*D_h]
    """
    require_f32(x=x, table=table)
    require_rows(table=table)
    require_i32(positions=positions)
    require_same_length(x=x, positions=positions)
    require_heads("x", x, head_dim)
    turned = static(table.shape[1])
    fits = turned <= head_dim and turned % 2 == 0
    require(fits, f"table {table} is not for heads of {head_dim}")
    require(pairs in PAIRS, f"pairs is {pairs!r}, must be one of {PAIRS}")
    return x


@rope.meaning
def _(x: Array, positions: Array, table: Array, *, head_dim: int, pairs: str) -> Array:
    half = table.shape[1] // 2
    heads = x.reshape(len(x), -1, head_dim)  # (T, H, D_h)
    cos, sin = np.split(table[positions][:, None, :], 2, axis=-1)  # (T, 1, R/2)
    first, second = (
        (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
        if pairs == "adjacent"
        else (slice(0, half), slice(half, 2 * half))
    )
    turned = heads.copy()
    turned[..., first] = heads[..., first] * cos - heads[..., second] * sin
    turned[..., second] = heads[..., first] * sin + heads[..., second] * cos
    return turned.reshape(x.shape)

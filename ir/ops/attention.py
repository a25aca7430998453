"""Causal attention over paged keys and values: grouped heads, windows, caps, sinks, ALiBi."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferflux.ir.alibi import alibi_slopes
from inferflux.ir.graph import Array, Stacked, gives, op, require
from inferflux.ir.kv_pages import Pages, read_rows
from inferflux.ir.ops.checks import (
    narrowed,
    require_f32,
    require_heads,
    require_i32,
    require_same_length,
    static,
)
from inferflux.ir.ops.kv import require_pages
from inferflux.ir.quantised import Activations, narrow
from inferflux.ir.types import DTYPES, F32, I32, TensorType


@op
def attention(
    q: TensorType,
    keys: TensorType,
    values: TensorType,
    positions: TensorType,
    sequences: TensorType,
    page_table: TensorType,
    sinks: TensorType | None = None,
    *,
    layer: int | Stacked,
    head_dim: int,
    scale: float | Stacked,
    window: int | Stacked | None = None,
    value_dim: int | None = None,
    soft_cap: float | None = None,
    alibi: float | None = None,
    alibi_scale: float = 1.0,
) -> TensorType:
    """softmax(scale * q @ k.T) @ v over positions 0..p of the token's own sequence.

    With a window only the last ``window`` of them count.  Query head h reads KV head h // (H/K).
    ``value_dim`` is D_v, where it is not D_h.  ``soft_cap``: scores become cap * tanh(score / cap)
    (Gemma 2).  ``alibi``: after that the key at j loses alibi_scale * slope_h * (p - j), with the
    slopes of ``alibi_slopes``.  ``sinks``: the softmax's denominator of head h also holds
    exp(sinks[h]), at which there is no value (gpt-oss).
    f32[T, H*D_h], pages [N, L, K, D_h, P] and [N, L, K, P, D_v], i32[T], i32[T], i32[B, M],
    f32[H] or none -> f32[T, H*D_v]
    """
    require_f32(q=q)
    require_i32(positions=positions, sequences=sequences)
    require_same_length(q=q, positions=positions, sequences=sequences)
    tables = page_table.dtype == I32 and len(page_table.shape) == 2
    require(tables, f"page_table is {page_table}, must be i32[B, M]")
    require(len(keys.shape) == 5, f"keys are {keys}, must have five dimensions")
    num_kv_heads = static(keys.shape[2])
    require_pages(keys, num_kv_heads, head_dim, layer, dim_axis=3)
    require_pages(values, num_kv_heads, value_dim or head_dim, layer, dim_axis=4)
    num_heads = require_heads("q", q, head_dim)
    require(num_heads % num_kv_heads == 0, f"{num_heads} heads do not share {num_kv_heads} evenly")
    for name, number in (("window", window), ("soft_cap", soft_cap), ("alibi", alibi)):
        is_refused = isinstance(number, int | float) and number <= 0
        require(not is_refused, f"{name} {number} is not positive")
    if sinks is not None:
        require(sinks == TensorType(F32, (num_heads,)), f"sinks are {sinks}, not f32[{num_heads}]")
    return TensorType(F32, (q.shape[0], num_heads * (value_dim or head_dim)))


@attention.meaning
def _(
    q: Array,
    keys: Pages,
    values: Pages,
    positions: Array,
    sequences: Array,
    page_table: Array,
    sinks: Array | None = None,
    *,
    layer: int,
    head_dim: int,
    scale: float,
    window: int | None = None,
    value_dim: int | None = None,
    soft_cap: float | None = None,
    alibi: float | None = None,
    alibi_scale: float = 1.0,
) -> Array:
    num_kv_heads, page_size = keys.shape[2], keys.shape[4]
    heads = q.reshape(len(q), num_kv_heads, -1, head_dim)  # (T, K, H/K, D_h)
    grouped = heads.shape[1:3]
    slopes = _slopes(grouped, alibi, alibi_scale)
    logits = None if sinks is None else sinks.reshape(*grouped, 1)  # of the sinks, (K, H/K, 1)
    out = np.empty((*heads.shape[:3], value_dim or head_dim), np.float32)
    for token, (position, sequence) in enumerate(zip(positions, sequences, strict=True)):
        first = 0 if window is None else max(0, position + 1 - window)
        seen = np.arange(first, position + 1)
        page, offset = divmod(seen, page_size)
        page = page_table[sequence, page]
        place = np.s_[page, layer, :, :, offset]
        k = read_rows(keys, place, place)  # (S, K, D_h)
        v = read_rows(values, np.s_[page, layer, :, offset, :], place)  # (S, K, D_v)
        scores = np.einsum("hgd,shd->hgs", heads[token], k) * np.float32(scale)
        if soft_cap is not None:
            scores = np.float32(soft_cap) * np.tanh(scores / np.float32(soft_cap))
        scores = scores + slopes * (seen - position).astype(np.float32)
        out[token] = np.einsum("hgs,shd->hgd", _softmax(scores, logits), v)
    return out.reshape(len(q), -1)


def _slopes(grouped: tuple[int, ...], alibi: float | None, scale: float) -> Array:
    """Of each query head, beside its KV head; 0 without ALiBi.  (K, H/K, 1)"""
    if alibi is None:
        return np.zeros((*grouped, 1), np.float32)
    slopes = np.array(alibi_slopes(grouped[0] * grouped[1], alibi)) * scale
    return slopes.astype(np.float32).reshape(*grouped, 1)


def _softmax(scores: Array, sinks: Array | None) -> Array:
    """Over the last axis; a sink is one score more, whose weight is dropped."""
    if sinks is not None:
        scores = np.concatenate([scores, sinks], axis=-1)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.asarray(weights if sinks is None else weights[..., :-1])


@gives("attention")
def attention_quantise(
    q: TensorType,
    keys: TensorType,
    values: TensorType,
    positions: TensorType,
    sequences: TensorType,
    page_table: TensorType,
    sinks: TensorType | None = None,
    *,
    layer: int | Stacked,
    head_dim: int,
    scale: float | Stacked,
    window: int | Stacked | None = None,
    value_dim: int | None = None,
    soft_cap: float | None = None,
    alibi: float | None = None,
    alibi_scale: float = 1.0,
    to: str = "i8x32",
) -> TensorType:
    """quantise(attention(...), to).  Operands as attention -> i8x32 or bf16 [T, H*D_v]"""
    attended = attention.rule(
        *(q, keys, values, positions, sequences, page_table, sinks),
        layer=layer,
        head_dim=head_dim,
        scale=scale,
        window=window,
        value_dim=value_dim,
        soft_cap=soft_cap,
        alibi=alibi,
        alibi_scale=alibi_scale,
    )
    assert isinstance(attended, TensorType), "attention has one result"
    return narrowed("the result", attended, to)


@attention_quantise.meaning
def _(*operands: Any, to: str = "i8x32", **attrs: Any) -> Activations:
    return narrow(attention.numpy(*operands, **attrs), DTYPES[to])

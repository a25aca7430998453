"""Causal attention over paged keys and values, grouped heads, optionally within a window."""

from __future__ import annotations

import numpy as np

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
from inferflux.ir.types import DTYPES, I32, TensorType


@op
def attention(
    q: TensorType,
    keys: TensorType,
    values: TensorType,
    positions: TensorType,
    sequences: TensorType,
    page_table: TensorType,
    *,
    layer: int | Stacked,
    head_dim: int,
    scale: float | Stacked,
    window: int | Stacked | None = None,
) -> TensorType:
    """softmax(scale * q @ k.T) @ v over positions 0..p of the token's own sequence.

    With a window only the last ``window`` of them count.  Query head h reads KV head h // (H/K).
    f32[T, H*D_h], pages [N, L, K, D_h, P] and [N, L, K, P, D_h], i32[T], i32[T], i32[B, M]
    -> f32[T, H*D_h]
    """
    require_f32(q=q)
    require_i32(positions=positions, sequences=sequences)
    require_same_length(q=q, positions=positions, sequences=sequences)
    tables = page_table.dtype == I32 and len(page_table.shape) == 2
    require(tables, f"page_table is {page_table}, must be i32[B, M]")
    require(len(keys.shape) == 5, f"keys are {keys}, must have five dimensions")
    num_kv_heads = static(keys.shape[2])
    require_pages(keys, num_kv_heads, head_dim, layer, dim_axis=3)
    require_pages(values, num_kv_heads, head_dim, layer, dim_axis=4)
    num_heads = require_heads("q", q, head_dim)
    require(num_heads % num_kv_heads == 0, f"{num_heads} heads do not share {num_kv_heads} evenly")
    require(not isinstance(window, int) or window > 0, f"window {window} is not positive")
    return q


@attention.meaning
def _(
    q: Array,
    keys: Pages,
    values: Pages,
    positions: Array,
    sequences: Array,
    page_table: Array,
    *,
    layer: int,
    head_dim: int,
    scale: float,
    window: int | None = None,
) -> Array:
    num_kv_heads, page_size = keys.shape[2], keys.shape[4]
    heads = q.reshape(len(q), num_kv_heads, -1, head_dim)  # (T, K, H/K, D_h)
    out = np.empty_like(heads)
    for token, (position, sequence) in enumerate(zip(positions, sequences, strict=True)):
        first = 0 if window is None else max(0, position + 1 - window)
        page, offset = divmod(np.arange(first, position + 1), page_size)
        page = page_table[sequence, page]
        place = np.s_[page, layer, :, :, offset]
        k = read_rows(keys, place, place)  # (S, K, D_h)
        v = read_rows(values, np.s_[page, layer, :, offset, :], place)  # (S, K, D_h)
        scores = np.einsum("hgd,shd->hgs", heads[token], k) * np.float32(scale)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        out[token] = np.einsum("hgs,shd->hgd", weights, v)
    return out.reshape(q.shape)


@gives("attention")
def attention_quantise(
    q: TensorType,
    keys: TensorType,
    values: TensorType,
    positions: TensorType,
    sequences: TensorType,
    page_table: TensorType,
    *,
    layer: int | Stacked,
    head_dim: int,
    scale: float | Stacked,
    window: int | Stacked | None = None,
    to: str = "i8x32",
) -> TensorType:
    """quantise(attention(...), to).  Operands as attention -> i8x32 or bf16 [T, H*D_h]"""
    operands = (q, keys, values, positions, sequences, page_table)
    attention.rule(*operands, layer=layer, head_dim=head_dim, scale=scale, window=window)
    return narrowed("q", q, to)


@attention_quantise.meaning
def _(
    q: Array,
    keys: Pages,
    values: Pages,
    positions: Array,
    sequences: Array,
    page_table: Array,
    *,
    layer: int,
    head_dim: int,
    scale: float,
    window: int | None = None,
    to: str = "i8x32",
) -> Activations:
    operands = (q, keys, values, positions, sequences, page_table)
    attrs = {"layer": layer, "head_dim": head_dim, "scale": scale, "window": window}
    return narrow(attention.numpy(*operands, **attrs), DTYPES[to])

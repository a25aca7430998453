"""Writing keys and values into the pages of a KV group.

A slot is page * P + offset.  Key pages are transposed, so that the P keys of a page are one vector
for each element of the head: a score then needs no horizontal sum.
"""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, Stacked, gives, require
from inferflux.ir.kv_pages import Pages, write_rows
from inferflux.ir.ops.checks import (
    require_f32,
    require_heads,
    require_i32,
    require_product,
    require_same_length,
)
from inferflux.ir.ops.elementwise import add_bias
from inferflux.ir.ops.linear import linear
from inferflux.ir.ops.rope import rope
from inferflux.ir.quantised import QuantisedRows, WeightRows
from inferflux.ir.types import F16, F32, I8PAGE, TensorType

PAGE_DTYPES = (F16, F32, I8PAGE)
_PAGE_DTYPES = ", ".join(map(str, PAGE_DTYPES))


@gives("keys", updates={"keys": "pages"})
def append_keys(
    pages: TensorType,
    x: TensorType,
    slots: TensorType,
    *,
    layer: int | Stacked,
    head_dim: int,
) -> TensorType:
    """pages[slots // P, layer, h, :, slots % P] = x[:, h]; gives the pages.

    f16[N, L, K, D_h, P], f32 or i8page, f32[T, K*D_h], i32[T] -> as pages
    """
    _require_append(pages, x, slots, layer, head_dim, dim_axis=3)
    return pages


@append_keys.meaning
def _(pages: Pages, x: Array, slots: Array, *, layer: int, head_dim: int) -> Pages:
    page, offset = divmod(slots, pages.shape[4])
    written = pages.copy()
    place = np.s_[page, layer, :, :, offset]
    write_rows(written, place, place, x.reshape(len(x), -1, head_dim))  # (T, K, D_h)
    return written


@gives("values", updates={"values": "pages"})
def append_values(
    pages: TensorType,
    x: TensorType,
    slots: TensorType,
    *,
    layer: int | Stacked,
    head_dim: int,
) -> TensorType:
    """pages[slots // P, layer, h, slots % P, :] = x[:, h]; gives the pages.

    f16[N, L, K, P, D_h], f32 or i8page, f32[T, K*D_h], i32[T] -> as pages
    """
    _require_append(pages, x, slots, layer, head_dim, dim_axis=4)
    return pages


@append_values.meaning
def _(pages: Pages, x: Array, slots: Array, *, layer: int, head_dim: int) -> Pages:
    page, offset = divmod(slots, pages.shape[3])
    written = pages.copy()
    place, scale_place = np.s_[page, layer, :, offset, :], np.s_[page, layer, :, :, offset]
    write_rows(written, place, scale_place, x.reshape(len(x), -1, head_dim))  # (T, K, D_h)
    return written


@gives("q", "keys", "values", updates={"keys": "keys", "values": "values"})
def qkv_rope_append(
    xq: TensorType,
    xk: TensorType,
    xv: TensorType,
    wq: TensorType,
    wk: TensorType,
    wv: TensorType,
    table: TensorType,
    positions: TensorType,
    slots: TensorType,
    keys: TensorType,
    values: TensorType,
    bq: TensorType | None = None,
    bk: TensorType | None = None,
    bv: TensorType | None = None,
    *,
    layer: int | Stacked,
    head_dim: int,
    pairs: str,
) -> tuple[TensorType, TensorType, TensorType]:
    """rope(xq @ wq.T + bq), append_keys(keys, rope(xk @ wk.T + bk)),
    append_values(values, xv @ wv.T + bv); the biases may be left out, all three.

    [T, D] x 3, [H*D_h, D], [K*D_h, D] x 2, f32[S, D_h], i32[T] x 2, pages x 2,
    f32[H*D_h], f32[K*D_h] x 2 or none -> f32[T, H*D_h], pages x 2.
    The three inputs are often one value; f32, int8 or bf16 each.
    """
    for name, x, weight in (("xq", xq, wq), ("xk", xk, wk), ("xv", xv, wv)):
        require_product(x, weight, x_name=name)
    require_same_length(xq=xq, xk=xk, xv=xv, positions=positions, slots=slots)
    require(wk.shape == wv.shape, f"wk {wk} and wv {wv} differ in shape")
    query, key = (TensorType(F32, (xq.shape[0], weight.shape[0])) for weight in (wq, wk))
    for projected in (query, key):
        rope.rule(projected, positions, table, head_dim=head_dim, pairs=pairs)
    require(table.shape[1] == head_dim, f"table {table} does not turn whole heads of {head_dim}")
    append_keys.rule(keys, key, slots, layer=layer, head_dim=head_dim)
    append_values.rule(values, key, slots, layer=layer, head_dim=head_dim)
    _require_biases((query, key, key), (bq, bk, bv))
    return query, keys, values


@qkv_rope_append.meaning
def _(
    xq: Array | QuantisedRows,
    xk: Array | QuantisedRows,
    xv: Array | QuantisedRows,
    wq: Array | WeightRows,
    wk: Array | WeightRows,
    wv: Array | WeightRows,
    table: Array,
    positions: Array,
    slots: Array,
    keys: Pages,
    values: Pages,
    *biases: Array,
    layer: int,
    head_dim: int,
    pairs: str,
) -> tuple[Array, Pages, Pages]:
    def turn(x: Array) -> Array:
        turned: Array = rope.numpy(x, positions, table, head_dim=head_dim, pairs=pairs)
        return turned

    projected = [linear.numpy(*each) for each in ((xq, wq), (xk, wk), (xv, wv))]
    if biases:
        projected = [x + bias for x, bias in zip(projected, biases, strict=True)]
    query, key, value = projected
    return (
        turn(query),
        append_keys.numpy(keys, turn(key), slots, layer=layer, head_dim=head_dim),
        append_values.numpy(values, value, slots, layer=layer, head_dim=head_dim),
    )


def _require_biases(
    projected: tuple[TensorType, ...], biases: tuple[TensorType | None, ...]
) -> None:
    given = [bias for bias in biases if bias is not None]
    require(len(given) in (0, 3), f"{len(given)} biases are given, must be none or three")
    for product, bias in zip(projected, given, strict=False):
        add_bias.rule(product, bias)


def _require_append(
    pages: TensorType,
    x: TensorType,
    slots: TensorType,
    layer: int | Stacked,
    head_dim: int,
    dim_axis: int,
) -> None:
    require_f32(x=x)
    require_i32(slots=slots)
    require_same_length(x=x, slots=slots)
    require_pages(pages, require_heads("x", x, head_dim), head_dim, layer, dim_axis)


def require_pages(
    pages: TensorType, num_kv_heads: int, head_dim: int, layer: int | Stacked, dim_axis: int
) -> None:
    """Pages of these heads, a head's elements along ``dim_axis``, that hold ``layer``."""
    require(pages.dtype in PAGE_DTYPES, f"pages are {pages}, must be {_PAGE_DTYPES}")
    require(len(pages.shape) == 5, f"pages are {pages}, must have five dimensions")
    heads = (pages.shape[2], pages.shape[dim_axis])
    wanted = (num_kv_heads, head_dim)
    require(heads == wanted, f"pages {pages} hold (heads, head_dim) {heads}, not {wanted}")
    num_layers = pages.shape[1]
    require(isinstance(layer, int | Stacked), f"layer {layer} is not a number")
    if isinstance(layer, int) and isinstance(num_layers, int):
        require(0 <= layer < num_layers, f"layer {layer} is not in pages {pages}")

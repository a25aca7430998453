"""What becomes of projected queries, keys and values before attention, as one op."""

from __future__ import annotations

from inferflux.ir.graph import Array, Stacked, gives, require
from inferflux.ir.kv_pages import Pages
from inferflux.ir.ops.kv import append_keys, append_values
from inferflux.ir.ops.norm import norm_heads
from inferflux.ir.ops.rope import rope
from inferflux.ir.types import TensorType


@gives("q", "keys", "values", updates={"keys": "keys", "values": "values"})
def rope_append(
    q: TensorType,
    k: TensorType,
    v: TensorType,
    table: TensorType,
    positions: TensorType,
    slots: TensorType,
    keys: TensorType,
    values: TensorType,
    q_norm: TensorType | None = None,
    k_norm: TensorType | None = None,
    *,
    layer: int | Stacked,
    head_dim: int,
    pairs: str,
    eps: float = 0.0,
    kind: str = "rms",
) -> tuple[TensorType, TensorType, TensorType]:
    """rope(norm_heads(q)), append_keys(keys, rope(norm_heads(k))), append_values(values, v).

    f32[T, H*D_h], f32[T, K*D_h] x 2, f32[S, R], i32[T] x 2, pages x 2, weights as of norm_heads
    -> f32[T, H*D_h], pages x 2.  Both norms may be left out.
    """
    require((q_norm is None) == (k_norm is None), "one of q_norm and k_norm is given, not both")
    for x, weight in ((q, q_norm), (k, k_norm)):
        rope.rule(x, positions, table, head_dim=head_dim, pairs=pairs)
        if weight is not None:
            norm_heads.rule(x, weight, eps=eps, head_dim=head_dim, kind=kind)
    append_keys.rule(keys, k, slots, layer=layer, head_dim=head_dim)
    append_values.rule(values, v, slots, layer=layer, head_dim=head_dim)
    return q, keys, values


@rope_append.meaning
def _(
    q: Array,
    k: Array,
    v: Array,
    table: Array,
    positions: Array,
    slots: Array,
    keys: Pages,
    values: Pages,
    *norms: Array,
    layer: int,
    head_dim: int,
    pairs: str,
    eps: float = 0.0,
    kind: str = "rms",
) -> tuple[Array, Pages, Pages]:
    if norms:
        q, k = (
            norm_heads.numpy(x, weight, eps=eps, head_dim=head_dim, kind=kind)
            for x, weight in zip((q, k), norms, strict=True)
        )
    q, k = (rope.numpy(x, positions, table, head_dim=head_dim, pairs=pairs) for x in (q, k))
    return (
        q,
        append_keys.numpy(keys, k, slots, layer=layer, head_dim=head_dim),
        append_values.numpy(values, v, slots, layer=layer, head_dim=head_dim),
    )

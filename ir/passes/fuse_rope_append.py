"""Norms of heads, rotation and the append of projections that are no one node become one."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.graph import Attr, Graph, Node, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import Replacement, Uses, apply, rewrites


def fuse_rope_append(graph: Graph, config: PassConfig) -> Graph:
    return apply(graph, (norm_rotate_append,))


@dataclass(frozen=True, slots=True)
class Turned:
    """Rows of heads, normed or not, that are rotated."""

    x: Value
    weight: Value | None
    norm: tuple[Attr, ...]  # eps, kind
    rotation: tuple[Value, Value, Attr, Attr]  # positions, table, head_dim, pairs


@rewrites(ops.attention)
def norm_rotate_append(attention: Node, uses: Uses) -> Replacement | None:
    """q = rope(norm_heads(q)), keys = append_keys(rope(norm_heads(k))), values = append_values(v)
    ->  q, keys, values = rope_append(q, k, v, ...), with both norms or without any

    Legal: that is its definition, given one rotation, one kind of norm, one slot and one layer for
    all; nothing else reads what lies between.
    """
    q, keys, values = attention.inputs[:3]
    match keys, values:
        case (
            Value(op=ops.append_keys, args=(key_pages, k, key_slots)),
            Value(op=ops.append_values, args=(value_pages, v, slots)),
        ) if key_slots is slots and _attrs(keys) == _attrs(values):
            query, key = _turned(q, uses), _turned(k, uses)
        case _:
            return None
    if not query or not key:
        return None
    if (query.rotation, query.norm) != (key.rotation, key.norm):
        return None
    norms = [each for each in (query.weight, key.weight) if each]
    positions, table, head_dim, pairs = query.rotation
    fused = ops.rope_append.node(
        (query.x, key.x, v, table, positions, slots, key_pages, value_pages, *norms),
        {
            **dict(zip(("eps", "kind"), query.norm, strict=False)),
            "layer": _attrs(keys)["layer"],
            "head_dim": head_dim,
            "pairs": pairs,
        },
    )
    return dict(zip((q, keys, values), fused.results, strict=True))


def _turned(value: Value, uses: Uses) -> Turned | None:
    """``value`` as a rotation nothing else reads, or None if it is not one."""
    if value.op is not ops.rope or uses[value] > 1:
        return None
    x, positions, table = value.args
    attrs = _attrs(value)
    rotation = (positions, table, attrs["head_dim"], attrs["pairs"])
    if x.op is not ops.norm_heads or uses[x] > 1:
        return Turned(x, None, (), rotation)
    normed, weight = x.args
    return Turned(normed, weight, (_attrs(x)["eps"], _attrs(x)["kind"]), rotation)


def _attrs(value: Value) -> dict[str, Attr]:
    """Of the node that makes a value."""
    assert value.producer, "a node makes it"
    return dict(value.producer.attrs)

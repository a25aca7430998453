"""The three projections of an attention, their rotation, and the append become one node."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.graph import Attr, Graph, Node, Op, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import Replacement, Uses, apply, rewrites


def fuse_qkv(graph: Graph, config: PassConfig) -> Graph:
    return apply(graph, (project_rotate_append,))


@dataclass(frozen=True, slots=True)
class Projection:
    """A product, biased and rotated or not: its operands, and how it is rotated."""

    x: Value
    weight: Value
    bias: Value | None
    rotation: tuple[Value, Value, Attr, Attr] | None  # positions, table, head_dim, pairs


@rewrites(ops.attention)
def project_rotate_append(attention: Node, uses: Uses) -> Replacement | None:
    """q = rope(linear), keys = append_keys(rope(linear)), values = append_values(linear)
    ->  q, keys, values = qkv_rope_append(...), with their biases where all three are biased

    Legal: that is its definition, given one slot, one layer and one rotation, of whole heads, for
    all; nothing else reads the projections.  The appended pages keep their other readers.
    A head must be whole units of 32 outputs, which kernels turn at once.
    """
    q, keys, values = attention.inputs[:3]
    query = _projection(q, uses)
    match keys, values:
        case (
            Value(op=ops.append_keys, args=(key_pages, k, key_slots)),
            Value(op=ops.append_values, args=(value_pages, v, slots)),
        ):
            key, value = _projection(k, uses), _projection(v, uses)
        case _:
            return None
    if not query or not key or not value or not query.rotation or value.rotation:
        return None
    if query.rotation != key.rotation or key_slots is not slots:
        return None
    if _place(keys) != _place(values):
        return None
    biases = [each.bias for each in (query, key, value) if each.bias]
    if len(biases) not in (0, 3):
        return None
    positions, table, head_dim, pairs = query.rotation
    if table.type.shape[1] != head_dim or not _is_whole_units(head_dim):
        return None
    fused = ops.qkv_rope_append(
        *(query.x, key.x, value.x),
        *(query.weight, key.weight, value.weight),
        *(table, positions, slots, key_pages, value_pages),
        *biases,
        layer=_place(keys)[0],
        head_dim=head_dim,
        pairs=pairs,
    )
    return dict(zip((q, keys, values), fused, strict=True))


def _is_whole_units(head_dim: Attr) -> bool:
    return isinstance(head_dim, int) and head_dim % 32 == 0


def _projection(value: Value, uses: Uses) -> Projection | None:
    """``value`` as a projection nothing else reads, or None if it is not one."""
    rotation = bias = None
    if turned := _made_only_for_one(value, ops.rope, uses):
        value, positions, table = turned.inputs
        rotation = (positions, table, turned.attrs["head_dim"], turned.attrs["pairs"])
    if biased := _made_only_for_one(value, ops.add_bias, uses):
        value, bias = biased.inputs
    if product := _made_only_for_one(value, ops.linear, uses):
        x, weight = product.inputs
        return Projection(x, weight, bias, rotation)
    return None


def _made_only_for_one(value: Value, op: Op, uses: Uses) -> Node | None:
    """The node of ``op`` that makes ``value``, if there is one reader of it."""
    return value.producer if value.op is op and uses[value] == 1 else None


def _place(appended: Value) -> tuple[Attr, Attr]:
    assert appended.producer, "appended pages are made by a node"
    attrs = appended.producer.attrs
    return attrs["layer"], attrs["head_dim"]

"""Layers one after the other become a ``repeat`` with one body for each kind of layer.

Two layers are of one kind if they apply the same ops to the same types in the same order, reading
the same invariants; attributes whose type rule admits ``Stacked`` may differ by number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.graph import Attr, Graph, Node, Stacked, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.passes.layer_boundaries import Boundaries, find_boundaries
from inferflux.ir.passes.layers import Layer, find_layers, layer_number
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import TensorType

Place = tuple[int, str]  # which node of a layer, which of its attributes
Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """Layers with one structure: which they are, and the weights of each, in order of use."""

    layers: list[int]
    weights: list[list[Value]]


def roll(graph: Graph, config: PassConfig) -> Graph:
    """layer 0; layer 1; ...  ->  repeat(carried, invariants, stacked weights)

    Legal: a body is the first layer of its kind, with what differs between them read from stacks.
    """
    layers = find_layers(graph)
    boundaries = find_boundaries(graph, layers) if layers else None
    if boundaries is None:
        return graph
    kinds = _kinds(layers, boundaries)
    stacked, names = _stack_attributes(layers, kinds)
    bodies = tuple(
        _body(layers[kind.layers[0]], boundaries, kind, names[number], _suffix(number, kinds))
        for number, kind in enumerate(kinds)
    )
    stacks = [
        _stack([weights[index] for weights in kind.weights], body.weights[index].hint)
        for kind, body in zip(kinds, bodies, strict=True)
        for index in range(len(body.weights))
    ]
    node = ops.repeat.node(
        [*boundaries.carried[0], *boundaries.invariants, *stacks],
        {"kinds": _kind_of_layers(kinds), **stacked},
        bodies,
        hints=[value.hint for value in bodies[0].inputs[: len(boundaries.carried[0])]],
    )
    rolled = substitute(graph, dict(zip(boundaries.carried[-1], node.results, strict=True)))
    weights = _rolled_weights(graph, kinds, stacks)
    return Graph(rolled.inputs, rolled.outputs, weights, graph.name)


def _kinds(layers: Sequence[Layer], boundaries: Boundaries) -> list[Kind]:
    kinds: dict[Signature, Kind] = {}
    for index, layer in enumerate(layers):
        signature, weights = _signature(layer, index, boundaries)
        kind = kinds.setdefault(signature, Kind([], []))
        kind.layers.append(index)
        kind.weights.append(weights)
    return list(kinds.values())


def _signature(layer: Layer, index: int, boundaries: Boundaries) -> tuple[Signature, list[Value]]:
    """What a layer computes, without names and numbers, and the weights it reads in order."""
    known: dict[Value, object] = {
        **{value: ("invariant", at) for at, value in enumerate(boundaries.invariants)},
        **{value: ("carried", at) for at, value in enumerate(boundaries.carried[index])},
    }
    weights: list[Value] = []
    nodes: list[object] = []
    for at, node in enumerate(layer):
        for value in node.inputs:
            if value not in known:
                known[value] = ("weight", len(weights), value.type)
                weights.append(value)
        nodes.append((node.op, tuple(known[v] for v in node.inputs), _shape_of_attrs(node)))
        known.update({value: ("result", at, value.index) for value in node.results})
    outputs = tuple(known[value] for value in boundaries.carried[index + 1])
    return (tuple(nodes), outputs), weights


def _shape_of_attrs(node: Node) -> tuple[object, ...]:
    """Attributes, of those that may be stacked only their type."""
    return tuple(
        (name, type(attr) if _is_stackable(node, name) else attr)
        for name, attr in sorted(node.attrs.items())
    )


def _is_stackable(node: Node, name: str) -> bool:
    return name in node.op.stackable and type(node.attrs[name]) in (int, float)


def _stack_attributes(
    layers: Sequence[Layer], kinds: Sequence[Kind]
) -> tuple[dict[str, tuple[Attr, ...]], list[dict[Place, Stacked]]]:
    """The stacked attributes by name, and for each kind which of its attributes read which."""
    columns: dict[str, list[Attr]] = {}
    names: list[dict[Place, Stacked]] = []
    for kind in kinds:
        own: dict[str, tuple[Attr, ...]] = {}
        places: dict[Place, Stacked] = {}
        for place, values in _differing(layers, kind).items():
            name = _column_name(place[1], values, own)
            own[name] = values
            places[place] = Stacked(name)
            column = columns.setdefault(name, _first_values(layers, name))
            for layer, value in zip(kind.layers, values, strict=True):
                column[layer] = value
        names.append(places)
    return {name: tuple(column) for name, column in sorted(columns.items())}, names


def _differing(layers: Sequence[Layer], kind: Kind) -> dict[Place, tuple[Attr, ...]]:
    """Attributes of a kind that are not one number in all its layers."""
    places = {
        (at, name): tuple(layers[layer][at].attrs[name] for layer in kind.layers)
        for at, node in enumerate(layers[kind.layers[0]])
        for name in node.attrs
        if _is_stackable(node, name)
    }
    return {place: values for place, values in places.items() if len(set(values)) > 1}


def _column_name(attr: str, values: tuple[Attr, ...], own: Mapping[str, tuple[Attr, ...]]) -> str:
    """The attribute's name; numbered where the kind has other values under it."""
    name, number = attr, 0
    while own.get(name, values) != values:
        number += 1
        name = f"{attr}_{number}"
    return name


def _first_values(layers: Sequence[Layer], name: str) -> list[Attr]:
    """A column's entries for the layers of kinds that do not read it: their own number, or None."""
    return [next((n.attrs[name] for n in layer if name in n.attrs), None) for layer in layers]


def _body(
    layer: Layer, boundaries: Boundaries, kind: Kind, names: Mapping[Place, Stacked], suffix: str
) -> Graph:
    index = kind.layers[0]
    outer = [*boundaries.carried[index], *boundaries.invariants]
    inputs = [Value(v.type, hint) for v, hint in zip(outer, boundaries.hints, strict=True)]
    weights = [Value(w.type, _short_name(w) + suffix) for w in kind.weights[0]]
    inner = dict(zip(outer, inputs, strict=True))
    inner.update(zip(kind.weights[0], weights, strict=True))
    for at, node in enumerate(layer):
        attrs = {name: names.get((at, name), attr) for name, attr in node.attrs.items()}
        hints = [value.hint for value in node.results]
        copy = node.op.node([inner[v] for v in node.inputs], attrs, node.bodies, hints)
        inner.update(zip(node.results, copy.results, strict=True))
    outputs = tuple(inner[value] for value in boundaries.carried[index + 1])
    return Graph(tuple(inputs), outputs, tuple(weights))


def _stack(weights: Sequence[Value], hint: str) -> Value:
    type_ = weights[0].type
    sources = tuple(source for weight in weights for source in weight.sources)
    return Value(
        TensorType(type_.dtype, (len(weights), *type_.shape), type_.layout), hint, sources=sources
    )


def _rolled_weights(
    graph: Graph, kinds: Sequence[Kind], stacks: Sequence[Value]
) -> tuple[Value, ...]:
    """The weights of no layer where they were, the stacks where the first layer's were."""
    stacked = {weight for kind in kinds for weights in kind.weights for weight in weights}
    first = next(at for at, weight in enumerate(graph.weights) if weight in stacked)
    rest = [weight for weight in graph.weights[first:] if weight not in stacked]
    return (*graph.weights[:first], *stacks, *rest)


def _kind_of_layers(kinds: Sequence[Kind]) -> tuple[int, ...]:
    of_layer = {layer: number for number, kind in enumerate(kinds) for layer in kind.layers}
    return tuple(of_layer[layer] for layer in sorted(of_layer))


def _short_name(weight: Value) -> str:
    """``blk.7.attn_q.weight``  ->  ``attn_q``"""
    number = f".{layer_number(weight)}."
    return f".{weight.hint}".partition(number)[2].removesuffix(".weight") or weight.hint


def _suffix(number: int, kinds: Sequence[Kind]) -> str:
    """Weights of several kinds are told apart by the kind's number."""
    return f".{number}" if len(kinds) > 1 else ""

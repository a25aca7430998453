"""Layers as a loop: one body for each kind of layer, weights stacked over the layers of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from inferflux.ir.graph import Attr, Graph, Node, Value, op, require
from inferflux.ir.interpret import evaluate
from inferflux.ir.types import TensorType

T = TypeVar("T")


@op
def repeat(
    *operands: TensorType,
    kinds: tuple[int, ...],
    bodies: tuple[Graph, ...],
    **stacked: tuple[Attr, ...],
) -> tuple[TensorType, ...]:
    """carried = bodies[kinds[l]](carried, invariants, weights of l) for l = 0 .. layers - 1.

    ``kinds[l]`` is the kind of layer l.  ``bodies[k]`` is a graph whose
      inputs   are the carried values, then the invariants: the same types for every kind,
               whether this kind reads them all or not (untouched pages pass through);
      weights  are those of one layer of kind k, typed as in the file;
      outputs  are the carried values for the next layer.
    Operands: the carried values' start, the invariants, then for kind 0, 1, ... the weights of its
    body, stacked: one leading dimension, the layers of that kind in order.  ``Value.sources`` of
    a stacked weight holds the file's tensors in that order.
    Any other attribute is a stacked one: a tuple with an entry for each layer (all layers, not
    only those of a kind), to which ``Stacked(name)`` in an attribute of a body's node refers.
    ``parts(node)`` takes the operands apart.

    carried x C, invariants x I, weights [layers of the kind, ...] -> carried x C
    """
    require(bodies, "there is no body")
    require(all(0 <= kind < len(bodies) for kind in kinds), f"kinds {kinds}: {len(bodies)} bodies")
    require(set(kinds) == set(range(len(bodies))), f"kinds {kinds} leave a body unused")
    for name, values in stacked.items():
        entries = len(values) if isinstance(values, tuple) else values
        require(entries == len(kinds), f"{name} has {entries} entries for {len(kinds)} layers")
    expected = _operands(bodies, kinds)
    require(len(operands) == len(expected), f"{len(operands)} operands, bodies {len(expected)}")
    for position, (given, wanted) in enumerate(zip(operands, expected, strict=True)):
        require(given == wanted, f"operand {position} is {given}, the bodies want {wanted}")
    carried = operands[: len(bodies[0].outputs)]
    for kind, body in enumerate(bodies):
        inputs, outputs = _types(body.inputs), _types(body.outputs)
        require(inputs == _types(bodies[0].inputs), f"inputs of body {kind} are not those of 0")
        require(outputs == carried, f"body {kind} gives {_listed(outputs)}, not {_listed(carried)}")
    return carried


@repeat.meaning
def _(
    *operands: Any,
    kinds: tuple[int, ...],
    bodies: tuple[Graph, ...],
    **stacked: tuple[Attr, ...],
) -> tuple[Any, ...] | Any:
    num_carried, num_inputs = len(bodies[0].outputs), len(bodies[0].inputs)
    carried, invariants = operands[:num_carried], operands[num_carried:num_inputs]
    weights = _by_kind(operands[num_inputs:], bodies)
    for layer, kind in enumerate(kinds):
        index = kinds[:layer].count(kind)
        own = [weight[index] for weight in weights[kind]]
        numbers = {name: values[layer] for name, values in stacked.items()}
        carried = evaluate(bodies[kind], (*carried, *invariants), own, numbers)
    return carried if num_carried > 1 else carried[0]


@dataclass(frozen=True, slots=True)
class RepeatParts:
    """The operands of a ``repeat``, by what they are."""

    carried: tuple[Value, ...]
    invariants: tuple[Value, ...]
    weights: tuple[tuple[Value, ...], ...]  # per kind, in the order of its body's weights


def parts(node: Node) -> RepeatParts:
    """Take the operands of a ``repeat`` apart."""
    num_carried, num_inputs = len(node.bodies[0].outputs), len(node.bodies[0].inputs)
    carried, invariants = node.inputs[:num_carried], node.inputs[num_carried:num_inputs]
    return RepeatParts(carried, invariants, _by_kind(node.inputs[num_inputs:], node.bodies))


def layer_kinds(node: Node) -> tuple[int, ...]:
    """The kind of each layer of a ``repeat``."""
    kinds = node.attrs["kinds"]
    assert isinstance(kinds, tuple)
    return tuple(kind for kind in kinds if isinstance(kind, int))


def stacked_attributes(node: Node) -> dict[str, tuple[Attr, ...]]:
    """The stacked attributes of a ``repeat``: name -> one value for each layer."""
    return {
        name: values
        for name, values in node.attrs.items()
        if name != "kinds" and isinstance(values, tuple)
    }


def _by_kind(weights: Sequence[T], bodies: Sequence[Graph]) -> tuple[tuple[T, ...], ...]:
    """Stacked weights, split at the bodies they belong to."""
    rest = iter(weights)
    return tuple(tuple(islice(rest, len(body.weights))) for body in bodies)


def _operands(bodies: Sequence[Graph], kinds: tuple[int, ...]) -> tuple[TensorType, ...]:
    """The types a ``repeat`` of these bodies takes."""
    stacked = (
        TensorType(weight.type.dtype, (kinds.count(kind), *weight.type.shape), weight.type.layout)
        for kind, body in enumerate(bodies)
        for weight in body.weights
    )
    return (*_types(bodies[0].inputs), *stacked)


def _types(values: Sequence[Value]) -> tuple[TensorType, ...]:
    return tuple(value.type for value in values)


def _listed(types: Sequence[TensorType]) -> str:
    return ", ".join(map(str, types)) or "nothing"

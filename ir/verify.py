"""What must hold of every graph, whichever pass made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from inferflux.errors import InferFluxError
from inferflux.ir.graph import Attr, Graph, Node, Stacked, TypeRuleError, Value
from inferflux.ir.ops.repeat import layer_kinds, stacked_attributes
from inferflux.ir.types import TensorType

Layers = Sequence[Mapping[str, Attr]]  # what @names stand for, in each layer a body is run for


class VerifyError(InferFluxError):
    """A graph breaks an invariant of the IR: a bug in the pass or the builder that made it."""

    code = "invalid_graph"


def verify(graph: Graph) -> None:
    """Raise VerifyError, naming value or node, unless the graph is well formed."""
    for weight in graph.weights:
        _verify_sources(weight)
    _verify_unique((name for weight in graph.weights for name in weight.sources), "tensor")
    _verify_unique((value.hint for value in graph.inputs), "input")
    _verify_scope(graph, graph.name, ({},))


def _verify_scope(graph: Graph, where: str, layers: Layers) -> None:
    defined = {*graph.inputs, *graph.weights}
    for value in defined:
        _require(not value.producer, f"{where}: input or weight %{value.hint} is made by a node")
    for node in graph.nodes:
        _verify_defined(node.inputs, defined, f"{where}: {node.op}")
        _verify_types(node, where, layers)
        defined.update(node.results)
        for kind, body in enumerate(node.bodies):
            _verify_scope(body, f"{where}: {node.op} kind {kind}", _numbers(node, kind))
        if node.bodies:
            _verify_stacked_are_read(node, where)
    _verify_defined(graph.outputs, defined, f"{where}: outputs")


def _verify_unique(names: Iterable[str], what: str) -> None:
    for name, count in Counter(names).items():
        _require(name, f"{what} without a name")
        _require(count == 1, f"{what} {name} stands there {count} times")


def _verify_sources(weight: Value) -> None:
    """A weight is one tensor of the file, or a stack of one for each layer of a kind."""
    count = len(weight.sources)
    _require(count > 0, f"weight %{weight.hint} names no tensor of the file")
    stacks = count == 1 or weight.type.shape[0] == count
    _require(stacks, f"weight %{weight.hint} {weight.type} does not stack {count} tensors")


def _verify_defined(values: Iterable[Value], defined: set[Value], where: str) -> None:
    for value in values:
        _require(value in defined, f"{where} reads %{value.hint} {value.type}, made elsewhere")


def _verify_types(node: Node, where: str, layers: Layers) -> None:
    """Run the type rule again: as written, and with the numbers of every layer."""
    results = tuple(value.type for value in node.results)
    _require(results == _rule(node, node.attrs, where), f"{where}: {node.op} has wrong types")
    names = {attr.name for attr in node.attrs.values() if isinstance(attr, Stacked)}
    for numbers in layers if names else ():
        _require(names <= numbers.keys(), f"{where}: {node.op} reads @{names - numbers.keys()}")
        attrs = {
            name: numbers[attr.name] if isinstance(attr, Stacked) else attr
            for name, attr in node.attrs.items()
        }
        _require(results == _rule(node, attrs, where), f"{where}: {node.op} differs by layer")


def _rule(node: Node, attrs: Mapping[str, Attr], where: str) -> tuple[TensorType, ...]:
    try:
        return node.op.result_types(node.inputs, attrs, node.bodies)
    except TypeRuleError as error:
        raise VerifyError(f"{where}: {error}") from error


def _numbers(node: Node, kind: int) -> Layers:
    """The stacked attributes of every layer of ``kind``."""
    stacked = stacked_attributes(node)
    return [
        {name: values[layer] for name, values in stacked.items()}
        for layer, of_kind in enumerate(layer_kinds(node))
        if of_kind == kind
    ]


def _verify_stacked_are_read(node: Node, where: str) -> None:
    read = {
        attr.name
        for body in node.bodies
        for inner in body.nodes
        for attr in inner.attrs.values()
        if isinstance(attr, Stacked)
    }
    unread = stacked_attributes(node).keys() - read
    _require(not unread, f"{where}: {node.op} stacks {sorted(unread)}, which no body reads")


def _require(claim: object, message: str) -> None:
    if not claim:
        raise VerifyError(message)

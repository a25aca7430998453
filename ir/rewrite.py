"""Rules that replace values by equal ones, and the driver that applies them until none matches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from inferflux.ir.graph import Graph, Node, Op, Value, applied

Replacement = Mapping[Value, Value]  # old -> new, which computes the same
Uses = Mapping[Value, int]  # how often a value is read, being an output included


@dataclass(frozen=True, slots=True)
class Rule:
    """``before  ->  after`` for the nodes of one op."""

    op: Op
    function: Callable[[Node, Uses], Replacement | None]

    def __call__(self, node: Node, uses: Uses) -> Replacement | None:
        return self.function(node, uses)


def rewrites(op: Op) -> Callable[[Callable[[Node, Uses], Replacement | None]], Rule]:
    """Decorator: a function of a node of ``op`` and the uses of all values is a rule.

    New values are built on the old ones.  Values the rule does not name keep their users.
    """
    return lambda function: Rule(op, function)


def apply(graph: Graph, rules: Sequence[Rule]) -> Graph:
    """Sweep until no rule matches.  A sweep sees one graph; its matches are replaced together."""
    while True:
        replaced = _sweep(graph, rules)
        if not replaced:
            return graph
        graph = substitute(graph, replaced)


def count_uses(graph: Graph) -> Uses:
    """How often each value is read by nodes and returned."""
    uses = Counter(value for node in graph.nodes for value in node.inputs)
    uses.update(graph.outputs)
    return uses


def substitute(graph: Graph, replaced: Replacement) -> Graph:
    """``graph`` with every use of an old value reading the new one, which may be built on old ones.

    A replaced input or weight takes the old one's place in the signature.
    """
    built: dict[Value, Value] = {}
    pending = [_resolve(value, replaced).producer for value in reversed(graph.outputs)]
    while pending:
        node = pending[-1]
        if node is None or node.results[0] in built:
            pending.pop()
            continue
        inputs = [_resolve(value, replaced) for value in node.inputs]
        waiting = [value.producer for value in inputs if value.producer and value not in built]
        if waiting:
            pending.extend(reversed(waiting))
            continue
        pending.pop()
        built.update(_pairs(node, with_inputs(node, [built.get(v, v) for v in inputs])))

    def renewed(values: Iterable[Value]) -> tuple[Value, ...]:
        resolved = (_resolve(value, replaced) for value in values)
        return tuple(built.get(value, value) for value in resolved)

    outputs = renewed(graph.outputs)
    return Graph(renewed(graph.inputs), outputs, renewed(graph.weights), graph.name)


def with_inputs(node: Node, inputs: Sequence[Value]) -> Node:
    """The same application on other operands, its results named as before."""
    if all(old is new for old, new in zip(node.inputs, inputs, strict=True)):
        return node
    hints = [value.hint for value in node.results]
    if any(old.type != new.type for old, new in zip(node.inputs, inputs, strict=True)):
        return node.op.node(inputs, node.attrs, node.bodies, hints)
    types = [value.type for value in node.results]  # their rule would only say so again
    return applied(node.op, inputs, node.attrs, node.bodies, types, hints)


def _sweep(graph: Graph, rules: Sequence[Rule]) -> dict[Value, Value]:
    uses = count_uses(graph)
    replaced: dict[Value, Value] = {}
    for node in graph.nodes:
        for rule in rules:
            found = rule(node, uses) if rule.op is node.op else None
            if found and not replaced.keys() & found.keys():
                replaced.update(found)
                break
    return replaced


def _resolve(value: Value, replaced: Replacement) -> Value:
    while value in replaced:
        value = replaced[value]
    return value


def _pairs(old: Node, new: Node) -> Iterable[tuple[Value, Value]]:
    return zip(old.results, new.results, strict=True)

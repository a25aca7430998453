"""One form for what can be written in several: shared values, operand order, no unread weights."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import count_uses, substitute

COMMUTATIVE = (ops.add, ops.multiply)


def canonicalise(graph: Graph, config: PassConfig) -> Graph:
    """Nodes that compute the same become one, so that later rules can compare values by identity.

    ``Graph.nodes`` holds only what the outputs need, so dead nodes are gone by themselves.
    """
    return drop_unread_weights(share_values(order_operands(graph)))


def order_operands(graph: Graph) -> Graph:
    """add(x, y)  ->  add(y, x) where y has the shorter way from the inputs.

    Legal: these ops commute, bit for bit.  So ``add(residual, product)`` is the only order rules
    see, and it does not depend on how the front end wrote it.
    """
    depths: dict[Value, int] = {}
    replaced: dict[Value, Value] = {}
    for node in graph.nodes:
        depth = 1 + max((depths.get(value, 0) for value in node.inputs), default=0)
        depths.update(dict.fromkeys(node.results, depth))
        if node.op in COMMUTATIVE:
            left, right = node.inputs
            if depths.get(right, 0) < depths.get(left, 0):
                replaced[node.results[0]] = node.op(right, left, hint=node.results[0].hint)
    return substitute(graph, replaced)


def share_values(graph: Graph) -> Graph:
    """Nodes of one op, equal attributes and the same operands  ->  the first of them.

    Legal: an op is a function, it has no state.
    """
    while True:
        first: dict[object, Node] = {}
        replaced: dict[Value, Value] = {}
        for node in graph.nodes:
            key = (node.op, node.inputs, tuple(sorted(node.attrs.items(), key=repr)), node.bodies)
            kept = first.setdefault(key, node)
            if kept is not node:
                replaced.update(zip(node.results, kept.results, strict=True))
        if not replaced:
            return graph
        graph = substitute(graph, replaced)  # and what reads the shared ones may be equal now


def drop_unread_weights(graph: Graph) -> Graph:
    """A file may hold tensors the model never reads; inputs stay, for they are the interface."""
    uses = count_uses(graph)
    weights = tuple(weight for weight in graph.weights if uses[weight])
    return Graph(graph.inputs, graph.outputs, weights, graph.name)

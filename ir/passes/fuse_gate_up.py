"""The gated feed-forward's two projections and its activation become one node."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import Replacement, Uses, apply, rewrites

_ACTIVATIONS = (ops.silu, ops.gelu, ops.gelu_tanh)


def fuse_gate_up(graph: Graph, config: PassConfig) -> Graph:
    return apply(graph, (multiply_activated,))


@rewrites(ops.multiply)
def multiply_activated(product: Node, uses: Uses) -> Replacement | None:
    """multiply(linear(x_up, w_up), activation(linear(x_gate, w_gate)))  ->  gate_up(...)

    Legal: that is gate_up's definition.  Canonical order puts the activated side, which is the
    longer way, second.
    """
    match product.inputs:
        case (
            Value(op=ops.linear, args=(x_up, w_up)) as up,
            Value(args=(Value(op=ops.linear, args=(x_gate, w_gate)) as gate,)) as act,
        ) if act.op in _ACTIVATIONS and uses[up] == uses[gate] == uses[act] == 1:
            fused = ops.gate_up(x_gate, x_up, w_gate, w_up, activation=act.op.name)
            return {product.results[0]: fused}
        case _:
            return None

"""Activations become int8 before they meet a quantised weight, so that products are integer."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import F32


def quantise_activations(graph: Graph, config: PassConfig) -> Graph:
    """linear(x, w)  ->  linear(quantise(x), w), for a quantised w; one quantise for each x

    Not an equality: this is the one pass that changes numbers, and numerics="float32" skips it.
    """
    if config.numerics == "float32":
        return graph
    quantised: dict[Value, Value] = {}
    replaced: dict[Value, Value] = {}
    for node in graph.nodes:
        match node.inputs:
            case (x, weight) if node.op is ops.linear and _wants_int8(x, weight):
                if x not in quantised:
                    quantised[x] = ops.quantise(x)
                (result,) = node.results
                replaced[result] = ops.linear(quantised[x], weight, hint=result.hint)
            case _:
                pass
    return substitute(graph, replaced)


def _wants_int8(x: Value, weight: Value) -> bool:
    return x.type.dtype == F32 and weight.type.dtype.is_quantised

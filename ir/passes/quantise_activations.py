"""Activations are narrowed before they meet a weight, to what products are fastest in."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import BF16, F32


def quantise_activations(graph: Graph, config: PassConfig) -> Graph:
    """linear(x, w)  ->  linear(quantise(x), w), where that is faster; one quantise for each x

    To i8x32 for a quantised w, or to bf16 for every w of whole blocks of 32 columns.
    Not an equality: this is the one pass that changes numbers, and numerics="float32" skips it.
    """
    if config.numerics == "float32":
        return graph
    quantised: dict[Value, Value] = {}
    replaced: dict[Value, Value] = {}
    for node in graph.nodes:
        match node.inputs:
            case (x, weight) if node.op is ops.linear and _narrows(x, weight, config.activations):
                if x not in quantised:
                    quantised[x] = ops.quantise(x, to=config.activations)
                (result,) = node.results
                replaced[result] = ops.linear(quantised[x], weight, hint=result.hint)
            case _:
                pass
    return substitute(graph, replaced)


def _narrows(x: Value, weight: Value, activations: str) -> bool:
    if x.type.dtype != F32:
        return False
    if activations == BF16.name:
        columns = weight.type.shape[-1]
        return isinstance(columns, int) and columns % 32 == 0
    return weight.type.dtype.is_quantised

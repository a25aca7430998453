"""Activations are narrowed before they meet a weight, to what products are fastest in."""

from __future__ import annotations

from collections.abc import Mapping

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Op, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import BF16, F32

# What meets the rows that are an op's first operand.
WEIGHTS: Mapping[Op, tuple[str, ...]] = {
    ops.linear: ("weight",),
    ops.expert_linear: ("weight",),
    ops.expert_gate_up: ("w_gate", "w_up"),
}


def quantise_activations(graph: Graph, config: PassConfig) -> Graph:
    """linear(x, w)  ->  linear(quantise(x), w), where that is faster; one quantise for each x

    To i8x32 for a quantised w, or to bf16 for every w of whole blocks of 32 columns; and so for
    products of experts. What chooses experts stays as it is: other logits choose others.
    Not an equality: this is the one pass that changes numbers, and numerics="float32" skips it.
    """
    if config.numerics == "float32":
        return graph
    choosing = _choosing(graph)
    quantised: dict[Value, Value] = {}
    replaced: dict[Value, Value] = {}
    for node in graph.nodes:
        weights = [node.operands[name] for name in WEIGHTS.get(node.op, ())]
        if not weights or node in choosing:
            continue
        x, *others = node.inputs
        if all(_narrows(x, weight, config.activations) for weight in weights):
            if x not in quantised:
                quantised[x] = ops.quantise(x, to=config.activations)
            (result,) = node.results
            narrow = node.op.node((quantised[x], *others), node.attrs, hints=(result.hint,))
            replaced[result] = narrow.results[0]
    return substitute(graph, replaced)


def _choosing(graph: Graph) -> set[Node]:
    """The products whose results are routed by."""
    found: set[Node] = set()
    for node in graph.nodes:
        if node.op is ops.route:
            logits = node.inputs[0]
            product = logits.args[0] if logits.op is ops.add_bias else logits
            found.update([product.producer] if product.producer else [])
    return found


def _narrows(x: Value, weight: Value, activations: str) -> bool:
    if x.type.dtype != F32:
        return False
    if activations == BF16.name:
        columns = weight.type.shape[-1]
        return isinstance(columns, int) and columns % 32 == 0
    return weight.type.dtype.is_quantised

"""Activations are narrowed before they meet a weight, to what products are fastest in."""

from __future__ import annotations

from collections.abc import Mapping

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Op, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import BF16, F32, I8X32, TensorType

# What meets the rows that are an op's first operand.
WEIGHTS: Mapping[Op, tuple[str, ...]] = {
    ops.linear: ("weight",),
    ops.expert_linear: ("weight",),
    ops.expert_gate_up: ("w_gate", "w_up"),
}


def quantise_activations(graph: Graph, config: PassConfig) -> Graph:
    """linear(x, w)  ->  linear(quantise(x), w), where that is faster; one quantise for each x

    To i8x32 for a quantised w, or to bf16 for every w of whole blocks of 32 columns. So for what
    experts read, but that quantised ones take i8x32 in either case: an expert has a few of a
    prompt's rows, which do not pay for weights unpacked to bf16. What chooses experts stays as it
    is: other logits choose others.

    Not an equality: this is the one pass that changes numbers, and numerics="float32" skips it.
    """
    if config.numerics == "float32":
        return graph
    choosing = _choosing(graph)
    quantised: dict[tuple[Value, str], Value] = {}
    replaced: dict[Value, Value] = {}
    for node in graph.nodes:
        to = "" if node in choosing else _narrowed_to(node, config.activations)
        if not to:
            continue
        x, *others = node.inputs
        if (x, to) not in quantised:
            quantised[x, to] = ops.quantise(x, to=to)
        (result,) = node.results
        narrow = node.op.node((quantised[x, to], *others), node.attrs, hints=(result.hint,))
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


def _narrowed_to(node: Node, activations: str) -> str:
    """What an op's rows become before they meet its weights; "" if they stay."""
    weights = [node.operands[name].type for name in WEIGHTS.get(node.op, ())]
    if not weights or node.inputs[0].type.dtype != F32:
        return ""
    if all(weight.dtype.is_quantised for weight in weights):
        return I8X32.name if node.op is not ops.linear else activations
    if activations == BF16.name and all(_has_whole_blocks(weight) for weight in weights):
        return activations
    return ""


def _has_whole_blocks(weight: TensorType) -> bool:
    columns = weight.shape[-1]
    return isinstance(columns, int) and columns % I8X32.block == 0

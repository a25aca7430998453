"""Activations are narrowed before they meet a weight, to what products are fastest in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Op, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import BF16, F32, I8X32, I8X256, TensorType

# What meets the rows that are an op's first operand.
WEIGHTS: Mapping[Op, tuple[str, ...]] = {
    ops.linear: ("weight",),
    ops.expert_linear: ("weight",),
    ops.expert_gate_up: ("w_gate", "w_up"),
}


def quantise_activations(graph: Graph, config: PassConfig) -> Graph:
    """linear(x, w)  ->  linear(quantise(x), w), where that is faster; one quantise for each x

    To int8 for a quantised w, or to bf16 for every w of whole blocks of 32 columns. So for what
    experts read, but that quantised ones take int8 in either case: an expert has a few of a
    prompt's rows, which do not pay for weights unpacked to bf16. Int8 has a scale for 256 where
    weights in such blocks are all that read it, else one for 32. What chooses experts stays as it
    is: other logits choose others.

    Not an equality: this is the one pass that changes numbers, and numerics="float32" skips it.
    """
    if config.numerics == "float32":
        return graph
    choosing = _choosing(graph)
    narrowing = {
        node: to
        for node in graph.nodes
        if node not in choosing and (to := _narrowed_to(node, config.activations))
    }
    wide = _read_by_256(narrowing)
    quantised: dict[tuple[Value, str], Value] = {}
    replaced: dict[Value, Value] = {}
    for node, narrow in narrowing.items():
        x, *others = node.inputs
        to = I8X256.name if narrow == I8X32.name and x in wide else narrow
        if (x, to) not in quantised:
            quantised[x, to] = ops.quantise(x, to=to)
        (result,) = node.results
        product = node.op.node((quantised[x, to], *others), node.attrs, hints=(result.hint,))
        replaced[result] = product.results[0]
    return substitute(graph, replaced)


def _read_by_256(narrowing: Mapping[Node, str]) -> set[Value]:
    """Rows that, as int8, nothing reads but weights in blocks of 256."""
    readers: dict[Value, list[Node]] = defaultdict(list)
    for node, to in narrowing.items():
        if to == I8X32.name:
            readers[node.inputs[0]].append(node)
    return {
        x
        for x, nodes in readers.items()
        if all(weight.dtype.block == I8X256.block for node in nodes for weight in _weights(node))
    }


def _weights(node: Node) -> list[TensorType]:
    """Of what meets the rows that are the op's first operand."""
    return [node.operands[name].type for name in WEIGHTS.get(node.op, ())]


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
    weights = _weights(node)
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

"""What makes an activation that only products read, makes it as narrow as they take it."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Op
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.quantised import BLOCK
from inferflux.ir.rewrite import Replacement, Uses, apply, rewrites
from inferflux.ir.types import I8X256

QUANTISING: dict[Op, Op] = {
    ops.rms_norm: ops.rms_norm_quantise,
    ops.layer_norm: ops.layer_norm_quantise,
    ops.attention: ops.attention_quantise,
    ops.gate_up: ops.gate_up_quantise,
    ops.expert_gate_up: ops.expert_gate_up_quantise,
    ops.elementwise: ops.elementwise,
    ops.linear_then: ops.linear_then,
}

AT_ONCE = (ops.rms_norm, ops.layer_norm)  # make a row as a whole, and so can make it i8x256


def fuse_quantise(graph: Graph, config: PassConfig) -> Graph:
    return apply(graph, (make_quantised,))


@rewrites(ops.quantise)
def make_quantised(quantise: Node, uses: Uses) -> Replacement | None:
    """quantise(rms_norm(...))  ->  rms_norm_quantise(...), and so for attention and gate_up

    Legal: that is their definition.  Another reader of the floats would have them computed twice.
    Attention writes head by head, so a head must be whole blocks. What makes a row in parts makes
    no blocks of 256.
    """
    (x,) = quantise.inputs
    if not x.producer or x.producer.op not in QUANTISING or uses[x] > 1:
        return None
    if quantise.attrs["to"] == I8X256.name and x.producer.op not in AT_ONCE:
        return None
    if x.producer.op is ops.attention and _head_size(x.producer) % BLOCK:
        return None
    attrs = {**x.producer.attrs, "to": quantise.attrs["to"]}
    fused = QUANTISING[x.producer.op].node(x.producer.inputs, attrs)
    return {quantise.results[0]: fused.results[0]}


def _head_size(attention: Node) -> int:
    """Of values: what it writes for each query head."""
    size = attention.attrs["value_dim"] or attention.attrs["head_dim"]
    assert isinstance(size, int), "heads are of a known size"
    return size

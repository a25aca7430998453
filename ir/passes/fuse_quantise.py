"""What makes an activation that only products read, makes it as narrow as they take it."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Op
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import Replacement, Uses, apply, rewrites

QUANTISING: dict[Op, Op] = {
    ops.rms_norm: ops.rms_norm_quantise,
    ops.attention: ops.attention_quantise,
    ops.gate_up: ops.gate_up_quantise,
    ops.expert_gate_up: ops.expert_gate_up_quantise,
}


def fuse_quantise(graph: Graph, config: PassConfig) -> Graph:
    return apply(graph, (make_quantised,))


@rewrites(ops.quantise)
def make_quantised(quantise: Node, uses: Uses) -> Replacement | None:
    """quantise(rms_norm(...))  ->  rms_norm_quantise(...), and so for attention and gate_up

    Legal: that is their definition.  Another reader of the floats would have them computed twice.
    """
    (x,) = quantise.inputs
    if not x.producer or x.producer.op not in QUANTISING or uses[x] > 1:
        return None
    attrs = {**x.producer.attrs, "to": quantise.attrs["to"]}
    fused = QUANTISING[x.producer.op].node(x.producer.inputs, attrs)
    return {quantise.results[0]: fused.results[0]}

"""Under float32 numerics the KV pages hold float32 too."""

from __future__ import annotations

from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import F32, TensorType


def widen_pages(graph: Graph, config: PassConfig) -> Graph:
    """k: f16[N, L, K, D_h, P]  ->  k: f32[N, L, K, D_h, P], where an op appends to k"""
    if config.numerics != "float32":
        return graph
    updated = {value.updated for node in graph.nodes for value in node.results}
    pages = [value for value in graph.inputs if value in updated]
    return substitute(graph, {value: _widened(value) for value in pages})


def _widened(pages: Value) -> Value:
    return Value(TensorType(F32, pages.type.shape), pages.hint)

"""Under float32 numerics the KV pages hold float32 too."""

from __future__ import annotations

from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute
from inferflux.ir.types import F32, DType, TensorType


def widen_pages(graph: Graph, config: PassConfig) -> Graph:
    """k: f16[N, L, K, D_h, P]  ->  k: f32[N, L, K, D_h, P], where an op appends to k"""
    return retype_pages(graph, F32) if config.numerics == "float32" else graph


def retype_pages(graph: Graph, dtype: DType) -> Graph:
    """The same graph over pages that hold another type."""
    updated = {value.updated for node in graph.nodes for value in node.results}
    pages = [value for value in graph.inputs if value in updated]
    return substitute(graph, {v: Value(TensorType(dtype, v.type.shape), v.hint) for v in pages})

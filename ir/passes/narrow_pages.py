"""Under kv_dtype int8 the KV pages hold int8, a scale for 32 elements of a head."""

from __future__ import annotations

from inferflux.ir.graph import Graph
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.passes.widen_pages import retype_pages
from inferflux.ir.types import I8PAGE


def narrow_pages(graph: Graph, config: PassConfig) -> Graph:
    """k: f16[N, L, K, D_h, P]  ->  k: i8page[N, L, K, D_h, P], where an op appends to k

    Not an equality: what is kept of a key or a value is rounded to 8 bits.
    """
    return retype_pages(graph, I8PAGE) if config.kv_dtype == "int8" else graph

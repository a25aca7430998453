"""What one decoded token costs, counted from the graph as imported: bytes and operations."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from inferflux.ir.graph import Graph, Node, Value

_PAGES = ("k.", "v.")  # graph inputs that are the pages of a KV group


@dataclass(frozen=True, slots=True)
class TokenCost:
    """Per decoded token; what attention adds grows with each token of context."""

    weight_bytes: int
    flops: int
    kv_bytes_by_group: tuple[int, ...]  # written once, and read again by every later token
    attention_flops: int  # per token of context

    @property
    def kv_bytes(self) -> int:
        return sum(self.kv_bytes_by_group)


_OF_EXPERTS = ("expert_gate_up", "expert_linear")


def token_cost(graph: Graph) -> TokenCost:
    """Count the matrix products and the weights; the rest is noise beside them."""
    weights = {id(value) for value in graph.weights}
    return TokenCost(
        weight_bytes=sum(_weight_bytes(node, weights) for node in graph.nodes),
        flops=sum(_linear_flops(node) for node in graph.nodes),
        kv_bytes_by_group=_kv_bytes_by_group(graph),
        attention_flops=sum(_attention_flops(node) for node in graph.nodes),
    )


def _weight_bytes(node: Node, weights: set[int]) -> int:
    """All of every weight that the node reads; of an embedding one row, of experts those used."""
    read = [value.type for value in node.inputs if id(value) in weights]
    if node.op.name == "embed":
        return sum(kind.nbytes // _static(kind.shape[0]) for kind in read)
    if node.op.name in _OF_EXPERTS:
        return sum(kind.nbytes // _static(kind.shape[0]) * _num_used(node) for kind in read)
    return sum(kind.nbytes for kind in read)


def _linear_flops(node: Node) -> int:
    if node.op.name in _OF_EXPERTS:
        weights = (value.type.shape for value in node.inputs if len(value.type.shape) == 3)
        return 2 * _num_used(node) * sum(math.prod(map(_static, shape[1:])) for shape in weights)
    if node.op.name not in ("linear", "linear_heads"):
        return 0
    return 2 * math.prod(_static(dim) for dim in node.inputs[1].type.shape)


def _num_used(node: Node) -> int:
    """Experts of a token."""
    return _static(node.operands["slots"].type.shape[1])


def _attention_flops(node: Node) -> int:
    """Scores, a product of H * D_h per token of context, and the weighted sum, one of H * D_v."""
    if node.op.name != "attention":
        return 0
    widths = (node.inputs[0].type.shape[-1], node.results[0].type.shape[-1])
    return 2 * sum(map(_static, widths))


def _kv_bytes_by_group(graph: Graph) -> tuple[int, ...]:
    """In the order of the groups, by the numbers in the names of their pages."""
    by_group: defaultdict[int, int] = defaultdict(int)
    for value in graph.inputs:
        if value.hint.startswith(_PAGES):
            by_group[int(value.hint.partition(".")[2])] += _kv_bytes(value)
    return tuple(by_group[group] for group in sorted(by_group))


def _kv_bytes(pages: Value) -> int:
    """k: [N, L, K, D_h, P], v: [N, L, K, P, D_h]; P tokens a page."""
    page_size = pages.type.shape[-1 if pages.hint.startswith("k.") else -2]
    page = math.prod(_static(dim) for dim in pages.type.shape[1:]) * pages.type.dtype.block_bytes
    return page // _static(page_size)


def _static(dim: int | str) -> int:
    assert isinstance(dim, int), f"dimension {dim} has no static size"
    return dim

"""What a step of one sequence reads and multiplies, node by node, counted from its graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.codegen.memory import PAGES_RANK
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node
from inferflux.ir.ops.repeat import layer_kinds
from inferflux.ir.types import BF16, I8X32, INT8_ROWS, TensorType

_OF_EXPERTS = (ops.expert_gate_up, ops.expert_gate_up_quantise, ops.expert_linear)


@dataclass(frozen=True, slots=True)
class Work:
    """One node's share of a step, for all layers that have it."""

    bytes_read: int  # of weights, once, or of the pages attended to
    multiply_adds: int
    arithmetic: str  # what the products are computed in: "i8x32", "bf16" or "f32"


def step_work(graph: Graph, num_tokens: int, context: int) -> Iterator[Work]:
    """The work of a step whose last of ``num_tokens`` tokens sees ``context``; one row of logits.

    ``graph`` is that of the step's arithmetic, after the last pass.
    """
    for node in graph.nodes:
        if node.op is ops.repeat:
            kinds = layer_kinds(node)
            for kind, body in enumerate(node.bodies):
                for work in step_work(body, num_tokens, context):
                    yield _times(work, kinds.count(kind))
        elif any(len(value.type.shape) == PAGES_RANK for value in node.results):
            yield _products(node, num_tokens)  # appends to pages: what it computes is projections
        elif any(len(value.type.shape) == PAGES_RANK for value in node.inputs):
            yield _attention(node, num_tokens, context)
        elif node.op is not ops.embed:  # which reads a row for each token
            yield _products(node, num_tokens)


def arithmetic_of(node: Node) -> str:
    """What the activations are narrowed to, if they are."""
    dtypes = {value.type.dtype for value in node.inputs if not value.type.layout}
    if not dtypes.isdisjoint(INT8_ROWS):  # a scale for more columns makes them no other products
        return I8X32.name
    return BF16.name if BF16 in dtypes else "f32"


def _products(node: Node, num_tokens: int) -> Work:
    """With weights in panels; of a node without any, nothing."""
    weights = [value.type for value in node.inputs if value.type.layout]
    if node.op in _OF_EXPERTS:
        return _experts(node, weights, num_tokens)
    rows = 1 if node.results[0].type.shape[0] == "R" else num_tokens
    multiply_adds = rows * sum(math.prod(int(dim) for dim in type_.shape) for type_ in weights)
    return Work(sum(type_.nbytes for type_ in weights), multiply_adds, arithmetic_of(node))


def _experts(node: Node, weights: Sequence[TensorType], num_tokens: int) -> Work:
    """With the weights of the experts that so many tokens reach, were all as likely."""
    used = int(node.operands["slots"].type.shape[1])
    experts = int(weights[0].shape[0])
    reached = 1 - (1 - used / experts) ** num_tokens
    each = sum(math.prod(int(dim) for dim in type_.shape[1:]) for type_ in weights)
    nbytes = sum(type_.nbytes for type_ in weights)
    return Work(int(nbytes * reached), num_tokens * used * each, arithmetic_of(node))


def _attention(node: Node, num_tokens: int, context: int) -> Work:
    """Scores and weighted sums of one layer: each token sees those before it, in its window.

    Where windows differ from layer to layer it is taken to see all.
    """
    window = node.attrs["window"]
    seen = min(context, window + num_tokens) if isinstance(window, int) else context
    before = max(seen - num_tokens / 2, 0.5)  # what a token sees, on average
    width = int(node.inputs[0].type.shape[-1])
    pages = (value.type for value in node.inputs if len(value.type.shape) == PAGES_RANK)
    bytes_read = seen * sum(map(_token_bytes, pages))
    return Work(bytes_read, int(2 * width * before * num_tokens), "f32")


def _token_bytes(pages: TensorType) -> int:
    """What a page of one layer keeps of one token."""
    _, _, *page = pages.shape
    elements = math.prod(int(dim) for dim in page) // PAGE_SIZE
    return elements * pages.dtype.block_bytes // pages.dtype.block


def _times(work: Work, layers: int) -> Work:
    return Work(work.bytes_read * layers, work.multiply_adds * layers, work.arithmetic)

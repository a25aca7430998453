"""Which sizes of heads attention has kernels for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from inferflux.codegen.target import CpuTarget, UnsupportedOnTarget
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node
from inferflux.ir.types import I8PAGE, TensorType
from inferflux.kernels.storage import LANES


def require_head_sizes(graph: Graph, target: CpuTarget) -> None:
    """Refuse heads whose keys or values no kernel reads; raises ``UnsupportedOnTarget``."""
    for node in _attentions(graph):
        for pages in node.inputs[1:3]:
            size = head_size(pages.type)
            multiple = I8PAGE.block if pages.type.dtype == I8PAGE else LANES
            if size % multiple:
                held = "int8 pages" if pages.type.dtype == I8PAGE else "pages"
                raise UnsupportedOnTarget(
                    target.name, f"heads of {size} in {held}; a multiple of {multiple} it can"
                )


def head_size(pages: TensorType) -> int:
    """What a page of keys or of values keeps of one token and one head."""
    _, _, _, *page = pages.shape
    return math.prod(int(dim) for dim in page) // LANES


def _attentions(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        if node.op in (ops.attention, ops.attention_quantise):
            yield node
        for body in node.bodies:
            yield from _attentions(body)

"""Finds a model's layers in its graph: neighbouring nodes whose weights have one layer's number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from inferflux.ir.graph import Graph, Node, Value

Layer = tuple[Node, ...]
_NUMBER = re.compile(r"(?:^|\.)(\d+)\.")  # "blk.7.attn_q.weight", "model.layers.7.mlp.up.weight"


@dataclass(frozen=True, slots=True)
class Span:
    """Nodes first..last of an order that have weights of one layer, or of none."""

    layer: int | None
    first: int
    last: int


def layer_number(weight: Value) -> int | None:
    """The layer a weight belongs to, by the name of its tensor; None if to none."""
    found = _NUMBER.search(weight.sources[0]) if weight.sources else None
    return int(found[1]) if found else None


def find_layers(graph: Graph) -> tuple[Layer, ...]:
    """The longest run of layers, one directly after the other; empty if they are interleaved."""
    order = _varying_nodes(graph)
    spans = _spans(order, set(graph.weights))
    numbers = [span.layer for span in spans if span.layer is not None]
    if len(numbers) != len(set(numbers)):
        return ()
    cuts = _cuts(order, spans, graph.outputs)
    layers = [order[start:end] for start, end in pairwise(cuts)]
    numbered = zip(spans, layers, strict=True)
    runs = [
        tuple(tuple(nodes) for _, nodes in run)
        for is_layer, run in groupby(numbered, key=lambda pair: pair[0].layer is not None)
        if is_layer
    ]
    return max(runs, key=len, default=())


def _varying_nodes(graph: Graph) -> list[Node]:
    """Nodes that depend on the step's inputs.  The others, as a table, belong to no layer."""
    varying = set(graph.inputs)
    order: list[Node] = []
    for node in graph.nodes:
        if not varying.isdisjoint(node.inputs):
            varying.update(node.results)
            order.append(node)
    return order


def _spans(order: Sequence[Node], weights: set[Value]) -> list[Span]:
    """Neighbours with weights of one layer as one span; nodes without weights are in none."""
    anchors: list[tuple[int, int | None]] = []
    for index, node in enumerate(order):
        own = [layer_number(value) for value in node.inputs if value in weights]
        if own:
            layers = [number for number in own if number is not None and not node.bodies]
            anchors.append((index, layers[0] if layers else None))
    spans: list[Span] = []
    for layer, group in groupby(anchors, key=lambda anchor: anchor[1]):
        indices = [index for index, _ in group]
        spans.append(Span(layer, indices[0], indices[-1]))
    return spans


def _cuts(order: Sequence[Node], spans: Sequence[Span], outputs: Sequence[Value]) -> list[int]:
    """Where each span begins, and the end.

    Between two spans it is where the fewest values are live, so that an addition that closes a
    layer stays in it, though it has no weight that would say so.  Where several places are as
    good, the first and the last layer are cut as their neighbours are: what only prepares the
    stream, or takes rows of it, is in no layer.
    """
    between = zip(
        [-1, *(s.last for s in spans)], [*(s.first for s in spans), len(order)], strict=True
    )
    live = _num_live(order, outputs)
    places = [_least(range(last + 1, first + 1), live) for last, first in between]
    cuts = [place[0] for place in places]
    for at in range(len(cuts)):
        match [_layer_span(spans, index) for index in (at - 2, at - 1, at, at + 1)]:
            case [_, None, Span() as first, Span() as second]:
                leading = second.first - cuts[at + 1]
                cuts[at] = _nearest(places[at], first.first - leading)
            case [Span() as second, Span() as last, None, _]:
                trailing = cuts[at - 1] - second.last
                cuts[at] = _nearest(places[at], last.last + trailing)
            case _:
                pass
    return cuts


def _layer_span(spans: Sequence[Span], index: int) -> Span | None:
    is_layer = 0 <= index < len(spans) and spans[index].layer is not None
    return spans[index] if is_layer else None


def _num_live(order: Sequence[Node], outputs: Sequence[Value]) -> Callable[[int], int]:
    """How many values that were made before a cut are read behind it.

    Updated state does not count: of the pages there is one state at any cut.
    """
    made = {v: at for at, node in enumerate(order) for v in node.results if not v.updated}
    last_read = {value: index for index, node in enumerate(order) for value in node.inputs}
    last_read.update(dict.fromkeys(outputs, len(order)))
    lives = [(index, last_read.get(value, -1)) for value, index in made.items()]
    return lambda cut: sum(index < cut <= last for index, last in lives)


def _least(cuts: Iterable[int], live: Callable[[int], int]) -> list[int]:
    counts = {cut: live(cut) for cut in cuts}
    return [cut for cut, count in counts.items() if count == min(counts.values())]


def _nearest(cuts: Sequence[int], wanted: int) -> int:
    return min(cuts, key=lambda cut: abs(cut - wanted))

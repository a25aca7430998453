"""What layers hand to each other, and what all of them read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes.layers import Layer, layer_number


@dataclass(frozen=True, slots=True)
class Boundaries:
    """``carried[i]`` enters layer i and ``carried[-1]`` leaves the last, all of the same types."""

    carried: tuple[tuple[Value, ...], ...]
    invariants: tuple[Value, ...]  # made before the first layer, the same for each
    hints: tuple[str, ...]  # names for both within a layer


def find_boundaries(graph: Graph, layers: Sequence[Layer]) -> Boundaries | None:
    """None if the layers do not chain: one hands on other types, or reads past its neighbour.

    Carried are the streams (of a Llama one: the residual stream), then the state that ops update
    in place (the pages of every KV group), whether a layer touches it or not.
    """
    made_in = {v: at for at, layer in enumerate(layers) for node in layer for v in node.results}
    state = _states(layers, made_in, graph.inputs)
    streams = _streams(graph, layers, made_in)
    if state is None or streams is None:
        return None
    carried = tuple((*stream, *pages) for stream, pages in zip(streams, state, strict=True))
    if len({tuple(value.type for value in values) for values in carried}) != 1:
        return None
    invariants: dict[Value, None] = {}
    for at, layer in enumerate(layers):
        for value in _read_from_outside(layer, at, made_in):
            if value in carried[at] or layer_number(value) is not None:
                continue
            if value in made_in:  # of an earlier layer, and not handed on
                return None
            invariants[value] = None
    hints = (*(value.hint for value in (*carried[0], *invariants)),)
    return Boundaries(carried, tuple(invariants), hints)


def _states(
    layers: Sequence[Layer], made_in: dict[Value, int], inputs: Sequence[Value]
) -> list[tuple[Value, ...]] | None:
    """At each boundary the latest state of everything the layers update; None if one forks."""
    current: dict[Value, Value] = {}  # what it was before the layers -> what it is now
    origin: dict[Value, Value] = {}
    history: list[dict[Value, Value]] = [{}]
    for layer in layers:
        for value in (value for node in layer for value in node.results if value.updated):
            before = value.updated
            assert before, "the generator passes only updates"
            first = origin.get(before, before)
            if current.get(first, first) is not before:
                return None
            origin[value] = first
            current[first] = value
        history.append(dict(current))
    position = {value: at for at, value in enumerate(inputs)}
    firsts = sorted(current, key=lambda value: position.get(value, len(inputs)))
    return [tuple(now.get(first, first) for first in firsts) for now in history]


def _streams(
    graph: Graph, layers: Sequence[Layer], made_in: dict[Value, int]
) -> list[tuple[Value, ...]] | None:
    """At each boundary the values made before and read behind it, but for updated state."""
    last_read = {value: at for at, layer in enumerate(layers) for n in layer for value in n.inputs}
    inside = {node for layer in layers for node in layer}
    behind = {v for node in graph.nodes if node not in inside for v in node.inputs}
    last_read.update(dict.fromkeys([*behind, *graph.outputs], len(layers)))

    streams: list[tuple[Value, ...]] = []
    for cut in range(1, len(layers) + 1):
        made = (value for value, at in made_in.items() if at < cut <= last_read.get(value, -1))
        streams.append(tuple(value for value in made if not value.updated))
    start = _start(layers[0], streams[0], made_in, last_read)
    return [start, *streams]


def _start(
    layer: Layer, after: Sequence[Value], made_in: dict[Value, int], last_read: dict[Value, int]
) -> tuple[Value, ...]:
    """What enters the first layer in the place of ``after``: read by it alone, and typed alike."""
    types = {value.type for value in after}
    read = [
        value
        for value in _read_from_outside(layer, 0, made_in)
        if last_read[value] == 0 and value.type in types
    ]
    made = [value for value in read if value.producer]
    return tuple(made if len(made) == len(after) else read)  # an input is rather an invariant


def _read_from_outside(layer: Layer, at: int, made_in: dict[Value, int]) -> Iterable[Value]:
    """Each value a layer reads and does not make, once, in order."""
    read = (value for node in layer for value in node.inputs)
    return dict.fromkeys(value for value in read if made_in.get(value) != at)

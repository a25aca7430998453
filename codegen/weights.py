"""The arena of weights: where each lies, in the order a step reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Value
from inferflux.ir.ops.repeat import parts
from inferflux.ir.passes.choose_layouts import PAIRS, VECTOR_PAIRS
from inferflux.kernels.formats import FORMATS
from inferflux.kernels.linear.layouts import packed_bytes
from inferflux.kernels.storage import UNIT, ExpertPanels, Operand, Panels, Vector, Weight

ALIGNMENT = 64
EXPERTS_RANK = 3  # of a weight: a matrix for each expert
PREFETCH_PADDING = 4096  # a prefetch may look so far past the last weight


@dataclass(frozen=True, slots=True)
class Packed:
    """One weight's place in the arena, and what is written there."""

    offset: int
    nbytes: int
    value: Value
    layer: int | None  # of a stacked weight: which of its sources
    pairs: tuple[int, str] | None  # (head_dim, kind of pairs) of rows that turn together

    @property
    def source(self) -> str:
        """The name of its tensor in the model."""
        return self.value.sources[self.layer or 0]

    @property
    def width(self) -> int:
        return int(self.value.type.shape[-1])

    @property
    def is_vector(self) -> bool:
        return _is_vector(self.value)


@dataclass(slots=True)
class WeightPlan:
    """Operands by value, the strides of layers by ``repeat`` and kind, and what goes where."""

    operands: dict[Value, Operand] = field(default_factory=dict)
    layer_bases: dict[Node, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    packed: list[Packed] = field(default_factory=list)
    nbytes: int = 0

    @property
    def places(self) -> list[tuple[object, ...]]:
        """What lies where, in words that two graphs of one model share."""
        return [(each.offset, each.nbytes, each.value.sources, each.layer) for each in self.packed]


def plan_weights(graph: Graph, target: str) -> WeightPlan:
    """Lay the weights out in reading order; layers of a kind follow each other at one stride."""
    plan = WeightPlan()
    for node in graph.nodes:
        if node.op is ops.repeat:
            _plan_layers(plan, node, target)
        elif not node.inputs:
            _place(plan, node.results[0], None, target)
        else:
            for value in _weights_of(node, graph):
                _place(plan, value, _pairs(node, value), target)
    plan.nbytes += PREFETCH_PADDING
    return plan


def _plan_layers(plan: WeightPlan, node: Node, target: str) -> None:
    bases = []
    for body, stacked in zip(node.bodies, parts(node).weights, strict=True):
        offsets, stride = _layer_layout(body, target)
        bases.append((plan.nbytes, stride))
        outer = dict(zip(body.weights, stacked, strict=True))
        for value, offset in offsets.items():
            plan.operands[value] = weight_operand(value, f"layer_weights + T.int64({offset})")
        for layer in range(_num_layers(stacked)):
            for value, offset in offsets.items():
                start = plan.nbytes + layer * stride + offset
                nbytes, pairs = _nbytes(value, target), _body_pairs(body, value)
                plan.packed.append(Packed(start, nbytes, outer[value], layer, pairs))
        plan.nbytes += stride * _num_layers(stacked)
    plan.layer_bases[node] = tuple(bases)


def _layer_layout(body: Graph, target: str) -> tuple[dict[Value, int], int]:
    """Offsets of one layer's weights, in the order they are read, and the bytes of the layer."""
    offsets: dict[Value, int] = {}
    stride = 0
    for node in body.nodes:
        for value in _weights_of(node, body):
            if value not in offsets:
                offsets[value] = stride
                stride += _aligned(_nbytes(value, target))
    return offsets, stride


def _place(plan: WeightPlan, value: Value, pairs: tuple[int, str] | None, target: str) -> None:
    if value in plan.operands:  # a tied head
        return
    plan.operands[value] = weight_operand(value, f"T.int64({plan.nbytes})")
    plan.packed.append(Packed(plan.nbytes, _nbytes(value, target), value, None, pairs))
    plan.nbytes += _aligned(_nbytes(value, target))


def _weights_of(node: Node, graph: Graph) -> Iterator[Value]:
    own = set(graph.weights)
    return (value for value in node.inputs if value in own)


def _body_pairs(body: Graph, value: Value) -> tuple[int, str] | None:
    reader = next(node for node in body.nodes if value in node.inputs)
    return _pairs(reader, value)


def _pairs(node: Node, value: Value) -> tuple[int, str] | None:
    if value.type.layout not in (PAIRS, VECTOR_PAIRS):
        return None
    head_dim, kind = node.attrs["head_dim"], node.attrs["pairs"]
    assert isinstance(head_dim, int)
    assert isinstance(kind, str)
    return head_dim, kind


def _is_vector(value: Value) -> bool:
    return value.type.layout in ("", VECTOR_PAIRS)


def weight_operand(value: Value, base: str) -> Weight:
    """A weight or a constant that begins at ``base``, an int64 expression in bytes."""
    shape = value.type.shape
    if _is_vector(value):
        return Vector(base, int(shape[-1]))
    if len(shape) == EXPERTS_RANK:
        return ExpertPanels(value.type.dtype.name, int(shape[1]), int(shape[2]), base)
    return Panels(value.type.dtype.name, int(shape[0]), int(shape[1]), base)


def _nbytes(value: Value, target: str) -> int:
    shape = tuple(int(dim) for dim in value.type.shape)
    dtype = value.type.dtype
    if _is_vector(value):
        if dtype.name != "f32":
            raise UnsupportedOnTarget(target, f"a vector or table of {value.type}, only f32")
        return math.prod(shape) * 4
    if dtype.name not in FORMATS:
        raise UnsupportedOnTarget(target, f"a weight of {value.type}: no packed layout for {dtype}")
    if len(shape) == EXPERTS_RANK and shape[1] % UNIT:
        raise UnsupportedOnTarget(target, f"matrices of {value.type}: rows are no whole {UNIT}s")
    *rows, columns = shape
    return packed_bytes(dtype, math.prod(rows), columns)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _num_layers(stacked: tuple[Value, ...]) -> int:
    return int(stacked[0].type.shape[0]) if stacked else 0

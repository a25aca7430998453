"""A phase on its own: the graph of one node, on operands like those it has in its model."""

from __future__ import annotations

from dataclasses import replace

from inferflux.codegen.autotune.task import Task
from inferflux.codegen.memory import PAGES_RANK
from inferflux.ir import ops
from inferflux.ir.graph import Attr, Graph, Stacked, Value
from inferflux.ir.types import BF16, F32, INT8_ROWS, TensorType

LAYER = "layer"  # the attribute that says which layer's part of a page is meant
LAYER_AXIS = 1  # of pages


def isolate(task: Task, num_layers: int) -> Graph:
    """The task's node in a graph of its own, in which pages have ``num_layers`` layers.

    Inputs are called as the op calls them. Int8 and bf16 activations are made from rows of floats.
    """
    made = _Operands(task, num_layers)
    node = task.phase.node
    # Operands at the end may be left out.
    operands = [made.operand(*pair) for pair in zip(node.op.parameters, node.inputs, strict=False)]
    attrs = {name: _attr(name, value, task, num_layers) for name, value in node.attrs.items()}
    results = node.op.node(operands, attrs).results
    return Graph(tuple(made.inputs), results, tuple(made.weights))


class _Operands:
    """Makes a task's operands anew, one for each value."""

    def __init__(self, task: Task, num_layers: int) -> None:
        self.scope, self.num_layers = task.scope, num_layers
        self.inputs: list[Value] = []
        self.weights: list[Value] = []
        self._made: dict[Value, Value] = {}

    def operand(self, name: str, value: Value) -> Value:
        value = self.scope.values.get(value, value)
        if value not in self._made:
            self._made[value] = self._make(name, value)
        return self._made[value]

    def _make(self, name: str, value: Value) -> Value:
        if value.producer is not None and not value.producer.inputs:  # a constant, e.g. a table
            return value
        if value in self.scope.weights:
            self.weights.append(Value(value.type, name, sources=(name,)))
            return self.weights[-1]
        if not _is_narrow(value.type):
            self.inputs.append(Value(self._of_layers(value.type), name))
            return self.inputs[-1]
        self.inputs.append(Value(replace(value.type, dtype=F32), name))
        narrowed: Value = ops.quantise(self.inputs[-1], to=value.type.dtype.name)
        return narrowed

    def _of_layers(self, given: TensorType) -> TensorType:
        if len(given.shape) != PAGES_RANK:
            return given
        shape = list(given.shape)
        shape[LAYER_AXIS] = self.num_layers
        return replace(given, shape=tuple(shape))


def _is_narrow(type_: TensorType) -> bool:
    """Whether a value is rows on their way into a product."""
    return type_.dtype in (*INT8_ROWS, BF16) and len(type_.shape) == 2


def _attr(name: str, value: Attr, task: Task, num_layers: int) -> Attr:
    if name == LAYER:
        return Stacked(LAYER) if num_layers > 1 else 0
    return task.scope.numbers[value.name] if isinstance(value, Stacked) else value

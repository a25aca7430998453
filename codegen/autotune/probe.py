"""A step that runs one phase over and over, each time on other weights, as a model's layers do.

A phase that rereads one hot weight would be timed from the cache. Here the copies of its weights,
or of the pages it reads, lie one behind the other, as many as the user of a probe asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inferflux.codegen.artifact.compiled import CpuStep
from inferflux.codegen.autotune.isolate import LAYER, isolate
from inferflux.codegen.autotune.task import Task
from inferflux.codegen.autotune.workload import ATTENTION_CUT, Workload, file_tensors, reads_pages
from inferflux.codegen.memory import (
    MAX_WORKERS,
    PAGES_RANK,
    ROW_PADDING,
    MemoryPlan,
    padded,
    plan_memory,
    scales_of,
)
from inferflux.codegen.packing import pack_weights
from inferflux.codegen.phase_function import SCALARS
from inferflux.codegen.select import Layers, Phase, default_schedule
from inferflux.codegen.step import StepText, StepWriter, counters, step_buffers
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.weights import (
    ALIGNMENT,
    PREFETCH_PADDING,
    plan_weights,
)
from inferflux.ir import ops
from inferflux.ir.frontend.source import ModelSource, Origin, SourceTensor
from inferflux.ir.graph import Graph, Node, Value
from inferflux.ir.kv_pages import Pages, QuantisedPages
from inferflux.ir.types import F32
from inferflux.kernels import KERNELS
from inferflux.kernels.kernel import Schedule
from inferflux.kernels.storage import Array as ArrayOperand
from inferflux.kernels.storage import FloatRows, Operand, Weight

Array = np.ndarray[Any, np.dtype[Any]]


class Probe:
    """One task on one target, run ``copies`` times a step: its text so cut, and its arguments.

    All that a phase may not look at is NaN, or 77.
    """

    def __init__(self, task: Task, target: CpuTarget, copies: int) -> None:
        self.task, self.target, self.copies = task, target, copies
        self.graph = isolate(task, copies)
        self.workload = Workload(task.num_tokens, task.num_rows)
        self.tensors = file_tensors(self.graph)
        self.inputs = self.workload.inputs(self.graph)
        self._plan = plan_weights(self.graph, target.name)
        self._arena, self._stride = self._lay_out()
        self.memory = self._plan_memory()

    @property
    def node(self) -> Node:
        """The task's node, as it stands in the probe's graph."""
        return self.graph.nodes[-1]

    @property
    def copy_bytes(self) -> int:
        """What one run reads: its weights, and the pages it attends to."""
        if not reads_pages(self.graph):
            return self._stride
        pages = (given.nbytes for given in self.inputs.values() if len(given.shape) == PAGES_RANK)
        return self._stride + sum(pages) // self.copies

    @property
    def scalars(self) -> tuple[int, int, int, int, int]:
        """num_tokens, num_rows, max_pages, num_items, num_merges."""
        lengths = len(self.workload.spans.items), len(self.workload.spans.merges)
        max_pages = self.workload.pages_per_sequence
        return self.task.num_tokens, self.task.num_rows, max_pages, *lengths

    def text(self, schedule: Schedule) -> StepText:
        """The step that runs the phase so cut."""
        writer = StepWriter(self.graph, self.target, self.memory, self.task.arithmetic)
        repeated = Node(
            ops.repeat, (), {"kinds": (0,) * self.copies, LAYER: (*range(self.copies),)}
        )
        *before, phase = self._phases(schedule)
        bases = {repeated: ((self._weights_start(), self._stride),)}
        return writer.write((*before, Layers(repeated, ((phase,),))), bases, self.task.phase.shape)

    def facts(self, text: StepText) -> CpuStep:
        """How the step is called."""
        sizes = self.memory.sizes
        return CpuStep(
            arguments=(*step_buffers(self.graph), *SCALARS),
            variants=(text.variant,),
            scratch_f32=sizes["scratch_f32"],
            scratch_i8=sizes["scratch_i8"],
            scratch_i32=sizes["scratch_i32"],
            sync=counters(text.num_phases),
            row_padding=ROW_PADDING,
            logits_stride=padded(_logits_width(self.node)),
            max_step_tokens=self.task.num_tokens,
            max_workers=MAX_WORKERS,
            attention=ATTENTION_CUT,
        )

    def buffers(self) -> dict[str, Array]:
        """The step's buffers by name, but for ``sync``."""
        names = {name: dtype for name, dtype in step_buffers(self.graph).items() if name != "sync"}
        return {name: _aligned(self._contents(name, dtype)) for name, dtype in names.items()}

    def _phases(self, schedule: Schedule) -> Iterator[Phase]:
        shape = self.task.phase.shape
        for node in self.graph.nodes:
            kernel = KERNELS[node.op.name] if node.inputs else None
            if node is self.node:
                yield Phase(node, self.task.phase.kernel, shape, schedule)
            elif kernel is not None:  # a constant has none: it lies beside the weights
                cut = default_schedule(kernel, node, shape, self.target.name)
                yield Phase(node, kernel, shape, cut)

    def _weights_start(self) -> int:
        """Constants lie before the weights, once."""
        end = self._plan.nbytes - PREFETCH_PADDING
        return min((p.offset for p in self._plan.packed if p.value.producer is None), default=end)

    def _lay_out(self) -> tuple[Array, int]:
        """The arena, and the bytes from one copy of the weights to the next."""
        start, end = self._weights_start(), self._plan.nbytes - PREFETCH_PADDING
        once = pack_weights(self._plan, _source(self.graph, self.tensors)).arena
        stride = end - start
        arena = np.zeros(start + self.copies * stride + PREFETCH_PADDING, np.uint8)
        arena[:start] = once[:start]
        arena[start : start + self.copies * stride] = np.tile(once[start:end], self.copies)
        for packed in self._plan.packed:
            if packed.value.producer is None:
                base = f"layer_weights + T.int64({packed.offset - start})"
                operand = self._plan.operands[packed.value]
                assert isinstance(operand, Weight), f"a weight lies in {operand}"
                self._plan.operands[packed.value] = replace(operand, base=base)
        return arena, stride

    def _plan_memory(self) -> MemoryPlan:
        """As for a model, but rows of floats that the graph takes are arguments of the step."""
        rows = self.task.num_tokens
        memory = plan_memory(
            self.graph, self._plan, rows, _logits_width(self.node), self.target.name
        )
        moved: dict[Operand, Operand] = {
            ArrayOperand(value.hint): FloatRows(_width(value), 0, padded(_width(value)), value.hint)
            for value in self.graph.inputs
            if _is_rows(value)
        }
        for value, operand in memory.operands.items():
            memory.operands[value] = moved.get(operand, operand)
        return memory

    def _contents(self, name: str, dtype: str) -> Array:
        if name == "weights":
            return self._arena
        if name in ("spans", "merges"):
            spans = self.workload.spans
            return spans.items if name == "spans" else spans.merges
        for value in self.graph.inputs:
            given = self.inputs[value.hint]
            if name == value.hint:
                return _argument(value, given)
            if name == scales_of(value):
                assert isinstance(given, QuantisedPages), f"{value} has scales"
                return given.scales
        size = self.memory.sizes.get(name, 0)
        if name == "logits":
            size = (self.task.num_rows + ROW_PADDING) * padded(_logits_width(self.node))
        return np.full(size, np.nan if dtype == "float32" else 77, dtype)


def _source(graph: Graph, tensors: Mapping[str, Array]) -> ModelSource:
    """Made-up tensors, as the file of a model holds its own."""
    made = {weight.sources[0]: _tensor(weight, tensors) for weight in graph.weights}
    return ModelSource(Path(), "", {}, made, (), {})


def _tensor(weight: Value, tensors: Mapping[str, Array]) -> SourceTensor:
    name, dtype = weight.sources[0], weight.type.dtype
    shape = tuple(int(dim) for dim in weight.type.shape)
    return SourceTensor(
        name, dtype, shape, lambda: tensors[name], Origin(Path(), name, dtype.name, 0, 0)
    )


def _is_rows(value: Value) -> bool:
    shape = value.type.shape
    return value.type.dtype == F32 and len(shape) == 2 and isinstance(shape[1], int)


def _width(value: Value) -> int:
    width = value.type.shape[-1]
    assert isinstance(width, int), f"the rows of {value.type} are static"
    return width


def _logits_width(node: Node) -> int:
    """Columns of the logits that a node gives; 0 where it gives none."""
    result = node.results[0]
    return _width(result) if result.type.shape[0] == "R" else 0


def _argument(value: Value, given: Pages) -> Array:
    """With the spare rows that a block of rows reads past the last."""
    if isinstance(given, QuantisedPages):
        return given.values
    if _is_rows(value):
        rows = np.full((len(given) + ROW_PADDING, padded(_width(value))), np.nan, np.float32)
        rows[: len(given)] = 0
        rows[: len(given), : _width(value)] = given
        return rows
    if given.ndim == 1:
        return np.concatenate([given, np.zeros(ROW_PADDING, given.dtype)])
    return given


def _aligned(array: Array) -> Array:
    """A flat copy that begins where compiled code wants it."""
    room = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    copy = room[start : start + array.nbytes].view(array.dtype)
    copy[:] = array.reshape(-1)
    return copy

"""From a graph to the phases of a step: which kernel runs each node, and how it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from inferflux.codegen.stages import stages
from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node
from inferflux.ir.ops.repeat import layer_kinds
from inferflux.kernels import KERNELS
from inferflux.kernels.kernel import Kernel, Schedule, StepShape

Choose = Callable[[Kernel, Node, StepShape, str], Schedule]


@dataclass(frozen=True, slots=True)
class Phase:
    """One kernel over all its pieces.

    ``when`` is a run-time condition, or None for always.  Where a phase does not end its stage, the
    next one needs nothing of it and may begin before it is done.
    """

    node: Node
    kernel: Kernel
    shape: StepShape
    schedule: Schedule
    when: str | None = None
    ends_stage: bool = True


@dataclass(frozen=True, slots=True)
class Layers:
    """The phases of a ``repeat``, per kind of layer."""

    node: Node
    bodies: tuple[tuple[Phase, ...], ...]

    @property
    def phases_per_layer(self) -> int:
        return max(len(phases) for phases in self.bodies)

    @property
    def num_layers(self) -> int:
        return len(layer_kinds(self.node))


def default_schedule(kernel: Kernel, node: Node, shape: StepShape, target: str) -> Schedule:
    """The first of a family's schedules: what it takes where nothing was measured."""
    return next(kernel.schedules(node, shape))


def select(
    graph: Graph, shape: StepShape, target: str, choose: Choose = default_schedule
) -> tuple[Phase | Layers, ...]:
    """Choose a kernel and a schedule for every node.

    Raises:
        UnsupportedOnTarget: an op has no kernel on a CPU, or one that cannot do what is asked.
    """
    return tuple(_Selection(shape, target, choose).items(graph))


@dataclass(frozen=True, slots=True)
class _Selection:
    shape: StepShape
    target: str
    choose: Choose

    def items(self, graph: Graph) -> Iterator[Phase | Layers]:
        for stage in stages(graph):
            if stage[0].op is ops.repeat:
                (loop,) = stage
                yield Layers(loop, tuple(tuple(self._phases(body)) for body in loop.bodies))
            else:
                yield from self._stage(stage)

    def _phases(self, body: Graph) -> Iterator[Phase]:
        for stage in stages(body):
            yield from self._stage(stage)

    def _stage(self, nodes: Sequence[Node]) -> Iterator[Phase]:
        """First what every node begins with, then what ends some of them."""
        computed = [node for node in nodes if node.inputs]  # constants lie beside the weights
        yield from _as_one([phase for node in computed for phase in self._first(node)])
        yield from _as_one([phase for node in computed for phase in self._second(node)])

    def _first(self, node: Node) -> Iterator[Phase]:
        kernel = KERNELS.get(node.op.name)
        if kernel is None:
            raise UnsupportedOnTarget(self.target, f"op {node.op} (no kernel family implements it)")
        if refused := kernel.refuses(node):
            raise UnsupportedOnTarget(self.target, f"op {node.op} with {refused}")
        if _rows_for_logits(node) and self.shape.row_block > 1:
            # Most steps want one row, whatever their tokens; a block would waste the others.
            alone = StepShape(1, 1, registers=self.shape.registers)
            yield self._phase(kernel, node, alone, "num_rows <= 1")
            yield self._phase(kernel, node, self.shape, "num_rows > 1")
        else:
            yield self._phase(kernel, node, self.shape, None)

    def _second(self, node: Node) -> Iterator[Phase]:
        if ending := KERNELS[node.op.name].then:
            yield self._phase(ending, node, self.shape, None)

    def _phase(self, kernel: Kernel, node: Node, shape: StepShape, when: str | None) -> Phase:
        return Phase(node, kernel, shape, self.choose(kernel, node, shape, self.target), when)


def _as_one(phases: Sequence[Phase]) -> Iterator[Phase]:
    """Phases between two barriers."""
    yield from (replace(phase, ends_stage=False) for phase in phases[:-1])
    yield from phases[-1:]


def _rows_for_logits(node: Node) -> bool:
    products = (ops.linear, ops.linear_residual, ops.linear_then)
    return node.op in products and node.results[0].type.shape[0] == "R"

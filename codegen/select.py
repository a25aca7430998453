"""From a graph to the phases of a step: which kernel runs each node, and how it is cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node
from inferflux.ir.ops.repeat import layer_kinds
from inferflux.kernels import KERNELS
from inferflux.kernels.kernel import Kernel, Schedule, StepShape


@dataclass(frozen=True, slots=True)
class Phase:
    """One kernel over all its pieces.  ``when`` is a run-time condition, or None for always."""

    node: Node
    kernel: Kernel
    schedule: Schedule
    when: str | None = None


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


def select(graph: Graph, shape: StepShape, target: str) -> tuple[Phase | Layers, ...]:
    """Choose a kernel and a schedule for every node.

    Raises:
        UnsupportedOnTarget: an op has no kernel on a CPU.
    """
    chosen: list[Phase | Layers] = []
    for node in graph.nodes:
        if node.op is ops.repeat:
            bodies = (tuple(_phases(body, shape, target)) for body in node.bodies)
            chosen.append(Layers(node, tuple(bodies)))
        else:
            chosen.extend(_node_phases(node, shape, target))
    return tuple(chosen)


def _phases(body: Graph, shape: StepShape, target: str) -> Iterator[Phase]:
    for node in body.nodes:
        yield from _node_phases(node, shape, target)


def _node_phases(node: Node, shape: StepShape, target: str) -> Iterator[Phase]:
    if not node.inputs:  # a constant: it lies beside the weights
        return
    kernel = KERNELS.get(node.op.name)
    if kernel is None:
        raise UnsupportedOnTarget(target, f"op {node.op} (no kernel family implements it)")
    if _rows_for_logits(node) and shape.row_block > 1:
        # Most steps want one row, whatever their number of tokens; a block would waste the others.
        yield Phase(node, kernel, _first(kernel, node, StepShape(1, 1)), when="num_rows <= 1")
        yield Phase(node, kernel, _first(kernel, node, shape), when="num_rows > 1")
    else:
        yield Phase(node, kernel, _first(kernel, node, shape))


def _rows_for_logits(node: Node) -> bool:
    return node.op in (ops.linear, ops.linear_residual) and node.results[0].type.shape[0] == "R"


def _first(kernel: Kernel, node: Node, shape: StepShape) -> Schedule:
    return next(kernel.schedules(node, shape))

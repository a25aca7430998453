"""What there is to tune in a model: its phases that may be cut in several ways, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inferflux.codegen.autotune.own_text import has_choice
from inferflux.codegen.autotune.record import Place, TuningKey, phase_place, tuning_key
from inferflux.codegen.autotune.variants import Variant
from inferflux.codegen.select import Phase, select
from inferflux.codegen.target import MAX_STEP_TOKENS
from inferflux.ir.graph import Attr, Graph, Node, Value
from inferflux.ir.ops.repeat import layer_kinds, parts, stacked_attributes
from inferflux.kernels.kernel import Schedule, StepShape

# Blocks of rows in a measured step, where the variant takes so many: between its two ends.
BLOCKS = 4
MANY_BLOCKS = 16  # where prompts may be served: weights must still be near for the last of them
MOST_ROWS = 32


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a node stands: what the graph around its own gives it."""

    values: Mapping[Value, Value]  # inputs of a layer's body -> what they are outside
    weights: frozenset[Value]
    numbers: Mapping[str, Attr]  # stacked attributes, as the first layer of its kind has them
    uses: int  # how often a step runs it


@dataclass(frozen=True, slots=True)
class Task:
    """One phase to tune."""

    phase: Phase
    arithmetic: str  # of its step's products
    scope: Scope
    key: TuningKey

    @property
    def space(self) -> tuple[Schedule, ...]:
        """All schedules, the default first."""
        return tuple(self.phase.kernel.schedules(self.phase.node, self.phase.shape))

    @property
    def num_tokens(self) -> int:
        """Of the steps that are measured."""
        shape = self.phase.shape
        blocks = MANY_BLOCKS if shape.max_tokens == MAX_STEP_TOKENS else BLOCKS
        return min(shape.max_tokens, shape.row_block * max(blocks, shape.row_blocks))

    @property
    def num_rows(self) -> int:
        """Of logits, in the steps that are measured: a prompt wants but one."""
        return min(self.num_tokens, MOST_ROWS)

    def __str__(self) -> str:
        weights = (value.type for value in self.phase.node.inputs if value.type.layout)
        shapes = ", ".join(f"{type_.dtype}{list(type_.shape)}" for type_ in weights)
        return f"{self.phase.node.op}{shapes and ' '}{shapes} ({self.key.shape})"


def tasks(
    graphs: Mapping[str, Graph], variants: Sequence[Variant], target: str
) -> tuple[Task, ...]:
    """Every phase with a choice, of the variants of a model's step; equal phases are one task.

    ``graphs``: of the model, by arithmetic.
    """
    found: dict[Place, Task] = {}
    for variant in variants:
        for phase, scope in _phases(graphs[variant.arithmetic], target, variant.shape):
            place = phase_place(phase.node, phase.shape, target)
            if place not in found and has_choice(phase.kernel, phase.node, phase.shape):
                key = tuning_key(phase.kernel, phase.node, phase.shape, target)
                found[place] = Task(phase, variant.arithmetic, scope, key)
    return tuple(found.values())


def _phases(graph: Graph, target: str, shape: StepShape) -> Iterator[tuple[Phase, Scope]]:
    outside = Scope({}, frozenset(graph.weights), {}, 1)
    for item in select(graph, shape, target):
        if isinstance(item, Phase):
            yield item, outside
        else:
            for kind, phases in enumerate(item.bodies):
                scope = _scope(item.node, kind)
                yield from ((phase, scope) for phase in phases)


def _scope(repeat: Node, kind: int) -> Scope:
    body, split, kinds = repeat.bodies[kind], parts(repeat), layer_kinds(repeat)
    first = kinds.index(kind)
    return Scope(
        values=dict(zip(body.inputs, (*split.carried, *split.invariants), strict=True)),
        weights=frozenset(body.weights),
        numbers={name: values[first] for name, values in stacked_attributes(repeat).items()},
        uses=kinds.count(kind),
    )

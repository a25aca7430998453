"""Which variant of a step serves how many tokens: as recorded for a model's shape on a device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from inferflux.codegen.autotune.own_text import step_digest
from inferflux.codegen.autotune.record import Place, TuningKey, key_at
from inferflux.codegen.memory import PAGES_RANK
from inferflux.codegen.select import select
from inferflux.codegen.target import MAX_STEP_TOKENS, CpuTarget
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node
from inferflux.ir.ops.repeat import layer_kinds
from inferflux.ir.types import BF16
from inferflux.kernels.formats import FORMATS
from inferflux.kernels.kernel import StepShape

STEP = "step"  # what a record of variants is about, where others name an op


@dataclass(frozen=True, slots=True)
class Variant:
    """One function of a step: what its products are computed in, and what is computed together."""

    arithmetic: str
    shape: StepShape

    @property
    def name(self) -> str:
        return f"{self.arithmetic}_{self.shape.row_block}"

    def __str__(self) -> str:
        return f"{self.name}: {self.shape.min_tokens} to {self.shape.max_tokens} tokens"

    def serves(self, num_tokens: int) -> bool:
        return self.shape.min_tokens <= num_tokens <= self.shape.max_tokens


def variants_of(target: CpuTarget, graphs: Mapping[str, Graph]) -> tuple[Variant, ...]:
    """All that a target's step is worth compiling in; those that may serve any step first.

    Vectors multiply bf16 at half the rate of int8, and what a super-block takes to be unpacked
    comes on top: where most products are of such weights, bf16 is left to tiles.

    Args:
        graphs: of the model, by arithmetic.
    """
    return tuple(
        Variant(arithmetic, shape)
        for arithmetic, graph in graphs.items()
        if arithmetic != "bf16" or target.tiles or _super_block_share(graph) < 0.5
        for shape in target.shapes(arithmetic)
    )


def _super_block_share(graph: Graph) -> float:
    """Of what bf16 rows are multiplied with, how much is of weights in super-blocks."""
    elements = {True: 0, False: 0}
    for node, uses in _nodes(graph):
        if any(value.type.dtype == BF16 and not value.type.layout for value in node.inputs):
            for weight in (value.type for value in node.inputs if value.type.layout):
                count = uses * math.prod(int(dim) for dim in weight.shape)
                elements[FORMATS[weight.dtype.name].is_nested] += count
    return elements[True] / max(sum(elements.values()), 1)


def _nodes(graph: Graph) -> Iterator[tuple[Node, int]]:
    """What a token of a prompt runs, and how often: not what rows of logits alone run."""
    for node in graph.nodes:
        if node.op is ops.repeat:
            kinds = layer_kinds(node)
            for kind, body in enumerate(node.bodies):
                yield from ((inner, kinds.count(kind)) for inner in body.nodes)
        elif "R" not in node.results[0].type.shape:
            yield node, 1


def step_place(graphs: Mapping[str, Graph], variants: Sequence[Variant], target: str) -> Place:
    """What a record of a step is about: equal for models of equal weights and pages.

    ``graphs``: of the model, by arithmetic.
    """
    graph = next(iter(graphs.values()))
    pages = [value for value in graph.inputs if len(value.type.shape) == PAGES_RANK]
    types = " ".join(str(value.type) for value in (*graph.weights, *pages))
    return (target, STEP, types, "", " ".join(variant.name for variant in variants))


def variants_key(
    graphs: Mapping[str, Graph], variants: Sequence[Variant], target: str
) -> TuningKey:
    """The key of a whole step.  All its phases are written for it, as for ``tuning_key``."""
    steps = (select(graphs[each.arithmetic], each.shape, target) for each in variants)
    return key_at(step_place(graphs, variants, target), step_digest(steps, target))


def serving(variants: Sequence[Variant], starts: Mapping[str, int]) -> tuple[Variant, ...]:
    """The variants that serve, each from its start up to the next one's of its arithmetic.

    The last of an arithmetic takes whole steps: where only that one may be used, it is enough.
    """
    kept = [variant for variant in variants if variant.name in starts]
    return tuple(_ranged(variant, kept, starts) for variant in kept)


def _ranged(variant: Variant, kept: Sequence[Variant], starts: Mapping[str, int]) -> Variant:
    own = starts[variant.name]
    following = [
        starts[other.name]
        for other in kept
        if other.arithmetic == variant.arithmetic and starts[other.name] > own
    ]
    last = min(following) - 1 if following else MAX_STEP_TOKENS
    return replace(variant, shape=replace(variant.shape, min_tokens=own, max_tokens=last))

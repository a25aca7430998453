"""Which variant of a step serves how many tokens: as recorded for a model's shape on a device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from inferflux.codegen.autotune.record import TuningKey, template_digest, toolchain
from inferflux.codegen.target import MAX_STEP_TOKENS, CpuTarget
from inferflux.ir.graph import Graph
from inferflux.kernels import KERNELS
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


def variants_of(target: CpuTarget, arithmetics: Iterable[str]) -> tuple[Variant, ...]:
    """All that a target's step can be compiled in; those that may serve any step first."""
    return tuple(
        Variant(arithmetic, shape)
        for arithmetic in arithmetics
        for shape in target.shapes(arithmetic)
    )


def variants_key(graph: Graph, variants: Sequence[Variant], target: str) -> TuningKey:
    """The key of a whole step: equal for models whose weights are of equal types and shapes."""
    templates = sorted({kernel.template for kernel in KERNELS.values()})
    digests = "".join(template_digest(template) for template in templates)
    return TuningKey(
        target=target,
        op=STEP,
        types=" ".join(str(weight.type) for weight in graph.weights),
        attrs="",
        shape=" ".join(variant.name for variant in variants),
        toolchain=toolchain(),
        template=hashlib.sha256(digests.encode()).hexdigest()[:32],
    )


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

"""How fast a step should be on a machine: its work below the roofs, times a share seen elsewhere.

Each node takes as long as the slower of reading and multiplying would, after Williams, Waterman and
Patterson, "Roofline", CACM 52(4), 2009.  Nothing is compiled, and no weight is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from inferflux.codegen.roofline.roofs import Roofs
from inferflux.codegen.roofline.work import step_work
from inferflux.ir.graph import Graph

# What steps reached of this model's speed where it was measured: docs/benchmarks.md has the sums.
DECODE_SHARE: Final = 0.72
PREFILL_SHARE: Final = 0.87
DECODE_DEPTH: Final = 128  # tokens in the cache
PREFILL_TOKENS: Final = 512


@dataclass(frozen=True, slots=True)
class PredictedSpeed:
    """Tokens per second, of one stream and of a prompt."""

    decode: float  # at a depth of ``DECODE_DEPTH``
    prefill: float  # of ``PREFILL_TOKENS``, or of the whole context where that is shorter


def predict_speed(graphs: Mapping[str, Graph], roofs: Roofs, context_length: int) -> PredictedSpeed:
    """``graphs``: of the model, by arithmetic: that of every step first, that of prompts last."""
    first, last = next(iter(graphs.values())), list(graphs.values())[-1]
    depth, prompt = min(DECODE_DEPTH, context_length), min(PREFILL_TOKENS, context_length)
    return PredictedSpeed(
        decode=DECODE_SHARE / roof_seconds(first, roofs, 1, depth),
        prefill=PREFILL_SHARE * prompt / roof_seconds(last, roofs, prompt, prompt),
    )


def roof_seconds(graph: Graph, roofs: Roofs, num_tokens: int, context: int) -> float:
    """What a step would take at the roofs, node after node."""
    return sum(
        max(work.bytes_read / roofs.read, work.multiply_adds / roofs.computing[work.arithmetic])
        for work in step_work(graph, num_tokens, context)
    )

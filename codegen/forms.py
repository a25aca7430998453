"""The forms of a model: one for each arithmetic that the products of its step are computed in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inferflux.codegen.memory import MemoryPlan, plan_memory
from inferflux.codegen.target import MAX_STEP_TOKENS, CpuTarget
from inferflux.codegen.weights import WeightPlan, plan_weights
from inferflux.ir import frontend, passes
from inferflux.ir.frontend import ModelSource
from inferflux.ir.graph import Graph


def lower(
    source: ModelSource,
    numerics: str,
    targets: Sequence[CpuTarget],
    dump: Path | None = None,
    kv_dtype: str = "f16",
) -> dict[str, Graph]:
    """A graph for each arithmetic that products are computed in, the one for all steps first.

    Some of the targets may have no steps in one of them: ``CpuTarget.shapes``.
    """
    imported = frontend.build(source)
    graph = passes.run(imported, numerics=numerics, kv_dtype=kv_dtype, dump=dump)
    if numerics == "float32":
        return {"f32": graph}
    graphs = {"i8x32": graph}
    if any(target.panels for target in targets):
        graphs["bf16"] = passes.run(
            imported, activations="bf16", kv_dtype=kv_dtype, dump=dump and dump / "bf16"
        )
    return graphs


class Form:
    """The model in one arithmetic: its graph, and where its values lie."""

    def __init__(self, arithmetic: str, graph: Graph, target: CpuTarget, vocab_size: int) -> None:
        self.arithmetic, self.graph = arithmetic, graph
        self.plan: WeightPlan = plan_weights(graph, target.name)
        self.memory: MemoryPlan = plan_memory(
            graph, self.plan, MAX_STEP_TOKENS, vocab_size, target.name
        )

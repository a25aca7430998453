"""The architectures that can be built, by the name that model files give them."""

from __future__ import annotations

from inferflux.ir.frontend.architectures import dense
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.source import ModelSource, UnsupportedArchitecture
from inferflux.ir.graph import Graph

ARCHITECTURES = {
    "llama": dense.Dense(
        published=(Published("llama", "LlamaForCausalLM"),),
        pairs="adjacent",
        takes_rope_factors=True,
    ),
    "qwen2": dense.Dense(
        published=(Published("qwen2", "Qwen2ForCausalLM", has_windows=True),),
        pairs="halves",
        has_biases=True,
    ),
}
PUBLISHED = {  # by model type: the architecture that it is, and how it is written
    each.model_type: (name, each)
    for name, architecture in ARCHITECTURES.items()
    for each in architecture.published
}


def config(source: ModelSource) -> ModelConfig:
    """Read the model's shape.  Raises where metadata is missing, wrong, or not supported."""
    _require_known(source)
    return dense.config(source)


def build(source: ModelSource) -> Graph:
    """Lower the model to a graph, a node at a time and layer by layer.  No matrix is read."""
    _require_known(source)
    return dense.build(source, ARCHITECTURES[source.architecture])


def _require_known(source: ModelSource) -> None:
    if source.architecture not in ARCHITECTURES:
        raise UnsupportedArchitecture(
            source.path,
            "metadata 'general.architecture'",
            source.offsets.get("general.architecture"),
            f"{source.architecture!r} is not supported; take one of {', '.join(ARCHITECTURES)}",
        )

"""The architectures that can be built, by the name that model files give them."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.architectures.llama import LLAMA
from inferflux.ir.frontend.architectures.qwen2 import QWEN2
from inferflux.ir.frontend.architectures.qwen2moe import QWEN2MOE
from inferflux.ir.frontend.architectures.qwen3moe import QWEN3MOE
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.source import ModelSource, UnsupportedArchitecture
from inferflux.ir.graph import Graph

ARCHITECTURES = {each.name: each for each in (LLAMA, QWEN2, QWEN2MOE, QWEN3MOE)}
PUBLISHED = {  # by model type: the architecture that it is, and how it is written
    published.model_type: (name, published)
    for name, architecture in ARCHITECTURES.items()
    for published in architecture.published
}


def config(source: ModelSource) -> ModelConfig:
    """Read the model's numbers.  Raises where metadata is missing, wrong, or not supported."""
    return _architecture(source).read(source)[0]


def build(source: ModelSource) -> Graph:
    """Lower the model to a graph, a node at a time and layer by layer.  No matrix is read."""
    return _architecture(source).build(source)


def as_graph_takes(source: ModelSource) -> ModelSource:
    """The model with its tensors in the forms that graphs read; one not known as it is."""
    known = ARCHITECTURES.get(source.architecture)
    return known.as_graph_takes(source) if known else source


def _architecture(source: ModelSource) -> Architecture:
    if source.architecture not in ARCHITECTURES:
        raise UnsupportedArchitecture(
            source.path,
            "metadata 'general.architecture'",
            source.offsets.get("general.architecture"),
            f"{source.architecture!r} is not supported; take one of {', '.join(ARCHITECTURES)}",
        )
    return ARCHITECTURES[source.architecture]

"""The architectures that can be built, by the name that model files give them."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.architectures.cohere import COHERE
from inferflux.ir.frontend.architectures.deepseek2 import DEEPSEEK2
from inferflux.ir.frontend.architectures.falcon import FALCON
from inferflux.ir.frontend.architectures.gemma import GEMMA
from inferflux.ir.frontend.architectures.gemma2 import GEMMA2
from inferflux.ir.frontend.architectures.gemma3 import GEMMA3
from inferflux.ir.frontend.architectures.gpt2 import GPT2
from inferflux.ir.frontend.architectures.gpt_neox import GPT_NEOX
from inferflux.ir.frontend.architectures.gpt_oss import GPT_OSS
from inferflux.ir.frontend.architectures.granite import GRANITE
from inferflux.ir.frontend.architectures.granitemoe import GRANITEMOE
from inferflux.ir.frontend.architectures.llama import LLAMA
from inferflux.ir.frontend.architectures.olmo2 import OLMO2
from inferflux.ir.frontend.architectures.phi3 import PHI3
from inferflux.ir.frontend.architectures.qwen2 import QWEN2
from inferflux.ir.frontend.architectures.qwen2moe import QWEN2MOE
from inferflux.ir.frontend.architectures.qwen3 import QWEN3
from inferflux.ir.frontend.architectures.qwen3moe import QWEN3MOE
from inferflux.ir.frontend.architectures.smollm3 import SMOLLM3
from inferflux.ir.frontend.architectures.stablelm import STABLELM
from inferflux.ir.frontend.architectures.starcoder2 import STARCODER2
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.source import ModelSource, UnsupportedArchitecture
from inferflux.ir.graph import Graph

ARCHITECTURES = {
    each.name: each
    for each in (
        LLAMA,
        QWEN2,
        QWEN2MOE,
        QWEN3,
        QWEN3MOE,
        GEMMA,
        GEMMA2,
        GEMMA3,
        PHI3,
        SMOLLM3,
        OLMO2,
        GRANITE,
        GRANITEMOE,
        STABLELM,
        COHERE,
        STARCODER2,
        GPT_NEOX,
        FALCON,
        GPT2,
        DEEPSEEK2,
        GPT_OSS,
    )
}
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

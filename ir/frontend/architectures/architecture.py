"""An architecture: what it is composed of, and how each format states and stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from inferflux.ir.frontend import blocks
from inferflux.ir.frontend.blocks import DENSE, Parts
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.config import config as metadata_config
from inferflux.ir.frontend.huggingface.config import config as published_config
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.source import ModelSource, SourceTensor, UnsupportedModel
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.weights import Weights
from inferflux.ir.graph import Graph


@dataclass(frozen=True, slots=True)
class Architecture:
    """A family of decoders that differ in numbers."""

    name: str  # general.architecture of a GGUF
    metadata: Metadata
    published: tuple[Published, ...]  # the model types of transformers that are it
    parts: Parts = DENSE

    def read(self, source: ModelSource) -> tuple[ModelConfig, Parts]:
        """The numbers of a model, and its parts, in the words of its format."""
        if isinstance(source, HuggingFaceModel):
            config = published_config(source)
            return source.published.adapt(source.config, config, self.parts)
        config, parts = metadata_config(source, self.metadata), self.parts
        parts = self.metadata.by_tensors(source.tensors.keys(), parts)
        return self.metadata.adapt(Fields.of(source), config, parts)

    def build(self, source: ModelSource) -> Graph:
        """Every tensor of the file is used, or the file is refused."""
        config, parts = self.read(source)
        read = () if isinstance(source, HuggingFaceModel) else self.metadata.rope_tensors
        return blocks.build(config, parts, Weights(source, read))

    def as_graph_takes(self, source: ModelSource) -> ModelSource:
        """The model with views in the place of tensors that its format fuses or stores otherwise.

        What a config does not allow to read stays as it is: who builds the model is told of it.
        """
        views = (
            source.published.views if isinstance(source, HuggingFaceModel) else self.metadata.views
        )
        if not views:
            return source
        try:
            config, _ = self.read(source)
        except UnsupportedModel:
            return source
        tensors: Mapping[str, SourceTensor] = source.tensors
        for view in views:
            tensors = view(tensors, config)
        return replace(source, tensors=MappingProxyType(dict(tensors)))

"""The architectures that can be built, by the name that model files give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferflux.ir.frontend.architectures.llama import build as build_llama
from inferflux.ir.frontend.architectures.llama_metadata import config as llama_config
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.source import ModelSource, UnsupportedModel
from inferflux.ir.graph import Graph


class UnsupportedArchitecture(UnsupportedModel):
    """The file names an architecture that is not in the table; nothing stands in for it."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to read a model's shape, and how to build its graph."""

    config: Callable[[ModelSource], ModelConfig]
    build: Callable[[ModelSource], Graph]


ARCHITECTURES = {"llama": Architecture(llama_config, build_llama)}


def config(source: ModelSource) -> ModelConfig:
    """Read the model's shape.  Raises where metadata is missing, wrong, or not supported."""
    return _architecture(source).config(source)


def build(source: ModelSource) -> Graph:
    """Lower the model to a graph, a node at a time and layer by layer.  No weight is read."""
    return _architecture(source).build(source)


def _architecture(source: ModelSource) -> Architecture:
    found = ARCHITECTURES.get(source.architecture)
    if found is None:
        raise UnsupportedArchitecture(
            source.path,
            "metadata 'general.architecture'",
            source.offsets.get("general.architecture"),
            f"{source.architecture!r} is not supported; take one of {', '.join(ARCHITECTURES)}",
        )
    return found

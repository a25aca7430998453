"""Model files to graphs: ``open`` one, then ``build`` its graph or read its facts."""

from inferflux.ir.frontend.architectures.table import build, config
from inferflux.ir.frontend.facts import LayerGroup, ModelConfig, TokenizerMetadata
from inferflux.ir.frontend.formats import open  # noqa: A004  the verb of the pipeline
from inferflux.ir.frontend.gguf import GGUFError
from inferflux.ir.frontend.source import (
    ModelFileError,
    ModelSource,
    SourceTensor,
    UnsupportedArchitecture,
    UnsupportedModel,
)
from inferflux.ir.frontend.tokenizer import tokenizer
from inferflux.ir.frontend.widening import as_computed

__all__ = [
    "GGUFError",
    "LayerGroup",
    "ModelConfig",
    "ModelFileError",
    "ModelSource",
    "SourceTensor",
    "TokenizerMetadata",
    "UnsupportedArchitecture",
    "UnsupportedModel",
    "as_computed",
    "build",
    "config",
    "open",
    "tokenizer",
]

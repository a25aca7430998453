"""The tokenizer that a model states, whichever format it is in."""

from __future__ import annotations

from inferflux.ir.frontend.facts import TokenizerMetadata
from inferflux.ir.frontend.gguf.tokenizer import read_tokenizer as read_gguf
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.tokenizer import read_tokenizer as read_huggingface
from inferflux.ir.frontend.source import ModelSource


def tokenizer(source: ModelSource) -> TokenizerMetadata:
    """Read the tokenizer; every id is in range, every merge makes a token of two tokens."""
    if isinstance(source, HuggingFaceModel):
        return read_huggingface(source)
    return read_gguf(source)

"""Llama 1 to 3, and Mistral, which a GGUF calls llama too."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.rope import FACTORS
from inferflux.ir.frontend.huggingface.published import Published

LLAMA = Architecture(
    "llama",
    Metadata(pairs="adjacent", rope_tensors=(FACTORS,)),
    (Published("llama", "LlamaForCausalLM"),),
)

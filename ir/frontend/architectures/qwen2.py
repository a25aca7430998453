"""Qwen 2 and 2.5: queries, keys and values have biases."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import GroupedHeads, Parts
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.huggingface.windows import windows_if_used

QWEN2 = Architecture(
    "qwen2",
    Metadata(),
    (Published("qwen2", "Qwen2ForCausalLM", windows=windows_if_used),),
    Parts(attention=GroupedHeads(has_bias=True)),
)

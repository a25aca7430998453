"""Qwen 3: a norm of every head of queries and of keys."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import GroupedHeads, HeadNorm, Parts
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import windows_if_used

HEAD_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}

QWEN3 = Architecture(
    "qwen3",
    Metadata(),
    (
        Published(
            "qwen3",
            "Qwen3ForCausalLM",
            defaults={"head_dim": 128},
            windows=windows_if_used,
            layer={**LAYER, **HEAD_NORMS},
        ),
    ),
    Parts(attention=GroupedHeads(head_norm=HeadNorm())),
)

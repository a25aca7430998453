"""Gemma: embeddings times sqrt(D), gelu, and norms that transformers stores less one."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import Gated, Parts
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.tensor_views import plus_one
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import Each


def scaled_embedding(
    fields: Fields, config: ModelConfig, parts: Parts
) -> tuple[ModelConfig, Parts]:
    return replace(config, embedding_scale=config.hidden_size**0.5), parts


GEMMA = Architecture(
    "gemma",
    Metadata(adapt=scaled_embedding),
    (
        Published(
            "gemma",
            "GemmaForCausalLM",
            defaults={"is_tied": True, "head_dim": 256},
            neutral={
                # Files from before the two were told apart say gelu, and mean the other.
                "hidden_act": ("gelu_pytorch_tanh", "gelu"),
                "hidden_activation": ("gelu_pytorch_tanh",),
            },
            views=(Each(plus_one, ("attn_norm", "ffn_norm", "output_norm")),),
            adapt=scaled_embedding,
        ),
    ),
    Parts(feed_forward=Gated("gelu_tanh")),
)

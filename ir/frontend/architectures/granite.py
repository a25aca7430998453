"""Granite: a Llama whose embedding, scores, residuals and logits are scaled."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import Parts
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.typed import Fields

METADATA_KEYS = {
    "attention_scale": "attention.scale",
    "embedding_scale": "embedding_scale",
    "residual_scale": "residual_scale",
    "logit_scale": "logit_scale",
}
CONFIG_KEYS = {
    "attention_scale": "attention_multiplier",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
}


def divided_logits(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    """Both formats state what logits are divided by."""
    return replace(config, logit_scale=1 / config.logit_scale), parts


GRANITE = Architecture(
    "granite",
    Metadata(
        pairs="adjacent",
        keys=METADATA_KEYS,
        neutral={"rope.scaling.finetuned": (True,)},  # False: no layer would turn its heads
        adapt=divided_logits,
    ),
    (
        Published(
            "granite",
            "GraniteForCausalLM",
            keys=CONFIG_KEYS,
            defaults={"attention_scale": 1.0},
            adapt=divided_logits,
        ),
    ),
)

"""Gemma 2: norms on both sides of everything, soft caps, every other layer in a window."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.architectures.gemma import scaled_embedding
from inferflux.ir.frontend.blocks import NORMS_AROUND, Gated, Parts
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.form import SCALES
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.windows import windows_in_turns as metadata_windows
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import windows_in_turns
from inferflux.ir.frontend.tensor_views import plus_one
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import Each

MODULES = {
    **LAYER,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
NORMS = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "output_norm")
KEYS = {"attention_cap": "attn_logit_softcapping", "logit_cap": "final_logit_softcapping"}
_CAPS = {"attention_cap": 50.0, "logit_cap": 30.0}


def scaled_by_config(
    fields: Fields, config: ModelConfig, parts: Parts
) -> tuple[ModelConfig, Parts]:
    """Scores are divided by the root of a number of its own."""
    scale = fields.within("query_pre_attn_scalar", *SCALES, 256.0) ** -0.5
    return scaled_embedding(fields, replace(config, attention_scale=scale), parts)


def scaled_by_layers(num_layers: int):  # type: ignore[no-untyped-def]
    """Of a GGUF the largest of the family, known by its layers, has D / H for that number."""

    def adapt(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
        if config.num_layers == num_layers:
            width = config.hidden_size // config.num_query_heads
            config = replace(config, attention_scale=width**-0.5)
        return scaled_embedding(fields, config, parts)

    return adapt


GEMMA2 = Architecture(
    "gemma2",
    Metadata(keys=KEYS, defaults=_CAPS, windows=metadata_windows(2), adapt=scaled_by_layers(46)),
    (
        Published(
            "gemma2",
            "Gemma2ForCausalLM",
            keys=KEYS,
            defaults={"is_tied": True, "head_dim": 256, **_CAPS},
            # The window is said twice by some; transformers reads the one without "size".
            reads=frozenset({"query_pre_attn_scalar", "sliding_window_size"}),
            neutral={
                "hidden_act": ("gelu_pytorch_tanh",),
                "hidden_activation": ("gelu_pytorch_tanh",),
                "cache_implementation": ("hybrid",),
            },
            windows=windows_in_turns(2),
            layer=MODULES,
            views=(Each(plus_one, NORMS),),
            adapt=scaled_by_config,
        ),
    ),
    Parts(residual=NORMS_AROUND, feed_forward=Gated("gelu_tanh")),
)

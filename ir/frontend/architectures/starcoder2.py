"""StarCoder 2: layer norms, a plain feed-forward, and biases on everything."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import LAYER_NORM, GroupedHeads, Parts, Plain
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.windows import windows_in_turns
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import same_windows
from inferflux.ir.frontend.typed import Fields


def _biases(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    has_bias = fields.flag("use_bias", True)
    return config, replace(
        parts,
        attention=GroupedHeads(has_bias=has_bias, has_output_bias=has_bias),
        feed_forward=Plain("gelu_tanh", has_bias=has_bias),
    )


STARCODER2 = Architecture(
    "starcoder2",
    Metadata(keys={"epsilon": "attention.layer_norm_epsilon"}, windows=windows_in_turns(0)),
    (
        Published(
            "starcoder2",
            "Starcoder2ForCausalLM",
            keys={"epsilon": "norm_epsilon"},
            defaults={"is_tied": True, "epsilon": 1e-5},
            reads=frozenset(
                {
                    "activation_function",  # of the code that trained it, as are those beside it
                    "attention_softmax_in_fp32",
                    "embedding_dropout",
                    "layer_norm_epsilon",
                    "residual_dropout",
                    "scale_attention_softmax_in_fp32",
                    "use_bias",
                }
            ),
            neutral={
                "hidden_act": ("gelu_pytorch_tanh",),
                "mlp_type": ("default",),
                "norm_type": ("layer_norm",),
                "scale_attn_weights": (True,),
            },
            windows=same_windows,
            layer={**LAYER, "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"},
            adapt=_biases,
        ),
    ),
    Parts(
        norm=LAYER_NORM,
        attention=GroupedHeads(has_bias=True, has_output_bias=True),
        feed_forward=Plain("gelu_tanh"),
    ),
)

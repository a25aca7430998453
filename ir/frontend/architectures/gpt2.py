"""GPT-2: learned positions, biases everywhere, matrices that transformers stores transposed."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import LAYER_NORM, GroupedHeads, Parts, Plain
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.config import no_ropes as no_metadata_ropes
from inferflux.ir.frontend.huggingface.published import Published, no_ropes
from inferflux.ir.frontend.tensor_views import transposed
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import FUSED_QKV, Each

_ROOT, _BY_LAYER = "transformer.", "scale_attn_by_inverse_layer_idx"
_ATTENTION = GroupedHeads(has_bias=True, has_output_bias=True)


def _scaled(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    attention = replace(_ATTENTION, is_scaled_by_layer=fields.flag(_BY_LAYER, False))
    return config, replace(parts, attention=attention)


GPT2 = Architecture(
    "gpt2",
    Metadata(
        keys={"epsilon": "attention.layer_norm_epsilon"},
        ropes=no_metadata_ropes,
        views=(FUSED_QKV,),
    ),
    (
        Published(
            "gpt2",
            "GPT2LMHeadModel",
            keys={
                "context_length": "n_positions",
                "epsilon": "layer_norm_epsilon",
                "hidden_size": "n_embd",
                "intermediate_size": "n_inner",
                "num_layers": "n_layer",
                "num_query_heads": "n_head",
            },
            defaults={"is_tied": True, "epsilon": 1e-5},
            reads=frozenset(
                {
                    "n_ctx",  # n_positions, once more
                    "reorder_and_upcast_attn",  # for training in halves
                    "summary_activation",  # of other heads than ours
                    "summary_first_dropout",
                    "summary_proj_to_labels",
                    "summary_type",
                    "summary_use_proj",
                    "task_specific_params.",
                    _BY_LAYER,
                }
            ),
            neutral={"activation_function": ("gelu_new",), "scale_attn_weights": (True,)},
            ropes=no_ropes,
            layers=f"{_ROOT}h",
            root=_ROOT,
            top={
                f"{_ROOT}wte": "token_embd",
                f"{_ROOT}wpe": "position_embd",
                f"{_ROOT}ln_f": "output_norm",
                "lm_head": "output",
            },
            layer={
                "ln_1": "attn_norm",
                "attn.c_attn": "attn_qkv",
                "attn.c_proj": "attn_output",
                "ln_2": "ffn_norm",
                "mlp.c_fc": "ffn_up",
                "mlp.c_proj": "ffn_down",
            },
            derived=(".attn.bias", ".attn.masked_bias"),
            views=(Each(transposed, ("attn_qkv", "attn_output", "ffn_up", "ffn_down")), FUSED_QKV),
            adapt=_scaled,
        ),
    ),
    Parts(
        norm=LAYER_NORM,
        attention=_ATTENTION,
        feed_forward=Plain("gelu_tanh"),
        has_learned_positions=True,
    ),
)

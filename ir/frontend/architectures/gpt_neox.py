"""GPT-NeoX and Pythia: attention and feed-forward in parallel, each with a norm of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import (
    LAYER_NORM,
    NORMS_BEFORE,
    PARALLEL_TWO_NORMS,
    GroupedHeads,
    Parts,
    Plain,
)
from inferflux.ir.frontend.facts import ModelConfig, Rope
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.huggingface.rope import SHARES, THETA, rope_facts, rotated_size
from inferflux.ir.frontend.rope_scaling import BASES
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import FUSED_QKV, QKV_BY_HEAD

_ROOT, _PARALLEL = "gpt_neox.", "use_parallel_residual"


def _ropes(
    fields: Fields, config: ModelConfig, defaults: Mapping[str, float]
) -> tuple[Rope | None, ...]:
    """Older files have words of their own."""
    share = fields.within("rotary_pct", *SHARES, 0.25)
    theta = fields.within("rotary_emb_base", *BASES, THETA)
    size = rotated_size(fields, config.head_dim, share)
    return (rope_facts(fields, size, theta),) * config.num_layers


def _of_config(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    has_bias = fields.flag("attention_bias", True)
    attention = GroupedHeads(has_bias=has_bias, has_output_bias=has_bias)
    residual = PARALLEL_TWO_NORMS if fields.flag(_PARALLEL, True) else NORMS_BEFORE
    return config, replace(parts, attention=attention, residual=residual)


def _of_metadata(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    is_parallel = fields.flag(fields.own(_PARALLEL), True)
    return config, replace(parts, residual=PARALLEL_TWO_NORMS if is_parallel else NORMS_BEFORE)


GPT_NEOX = Architecture(
    "gptneox",
    Metadata(
        keys={"epsilon": "attention.layer_norm_epsilon"},
        reads=frozenset({_PARALLEL}),
        views=(FUSED_QKV,),
        adapt=_of_metadata,
    ),
    (
        Published(
            "gpt_neox",
            "GPTNeoXForCausalLM",
            keys={"epsilon": "layer_norm_eps"},
            defaults={"epsilon": 1e-5},
            reads=frozenset(
                {
                    "attention_bias",
                    "attention_probs_dropout_prob",
                    "classifier_dropout",
                    "hidden_dropout_prob",
                    "partial_rotary_factor",
                    "rotary_emb_base",
                    "rotary_pct",
                    _PARALLEL,
                }
            ),
            neutral={"hidden_act": ("gelu",)},
            ropes=_ropes,
            layers=f"{_ROOT}layers",
            root=_ROOT,
            top={
                f"{_ROOT}embed_in": "token_embd",
                f"{_ROOT}final_layer_norm": "output_norm",
                "embed_out": "output",
                "lm_head": "output",
            },
            layer={
                "input_layernorm": "attn_norm",
                "attention.query_key_value": "attn_qkv",
                "attention.dense": "attn_output",
                "post_attention_layernorm": "ffn_norm",
                "mlp.dense_h_to_4h": "ffn_up",
                "mlp.dense_4h_to_h": "ffn_down",
            },
            derived=("rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"),
            views=(QKV_BY_HEAD,),
            adapt=_of_config,
        ),
    ),
    Parts(
        norm=LAYER_NORM,
        attention=GroupedHeads(has_bias=True, has_output_bias=True),
        feed_forward=Plain("gelu"),
    ),
)

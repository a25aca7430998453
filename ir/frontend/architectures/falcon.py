"""Falcon: one KV head or some, in parallel with one norm or two; the first of them with ALiBi."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import (
    LAYER_NORM,
    NORMS_BEFORE,
    PARALLEL,
    GroupedHeads,
    Parts,
    Plain,
    Residual,
)
from inferflux.ir.frontend.facts import ModelConfig, Rope
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import Published, no_ropes, same_in_all
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import FUSED_QKV, QKV_BY_HEAD

_ROOT = "transformer."
_TWO_NORMS = Residual("attn_norm_2", "attn_norm", is_parallel=True)  # as a GGUF names them
_FLAGS = ("alibi", "bias", "multi_query", "new_decoder_architecture", "parallel_attn")
_MAX_BIAS = 8.0


def _ropes(
    fields: Fields, config: ModelConfig, defaults: Mapping[str, float]
) -> tuple[Rope | None, ...]:
    ropes = no_ropes if fields.flag("alibi", False) else same_in_all
    return ropes(fields, config, defaults)


def _of_config(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    """A file states the KV heads of all kinds; it has them in the new architecture only."""
    is_new, has_bias = fields.flag("new_decoder_architecture", False), fields.flag("bias", False)
    count = 1 if fields.flag("multi_query", True) else config.num_query_heads
    attention = GroupedHeads(
        has_bias=has_bias,
        has_output_bias=has_bias,
        alibi=_MAX_BIAS if fields.flag("alibi", False) else None,
        alibi_scale=config.head_dim**-0.5,  # it is added to scores before they are scaled
    )
    residual = _residual(fields, is_new)
    feed_forward = Plain("gelu", has_bias=has_bias)
    return (
        config if is_new else replace(config, num_kv_heads=count),
        replace(parts, attention=attention, residual=residual, feed_forward=feed_forward),
    )


def _residual(fields: Fields, is_new: bool) -> Residual:
    if is_new and fields.whole("num_ln_in_parallel_attn", 1, 2, default=2) == 2:
        return _TWO_NORMS
    return PARALLEL if is_new or fields.flag("parallel_attn", True) else NORMS_BEFORE


def _of_tensors(tensors: Collection[str], parts: Parts) -> Parts:
    has_two = "blk.0.attn_norm_2.weight" in tensors
    return replace(parts, residual=_TWO_NORMS if has_two else PARALLEL)


FALCON = Architecture(
    "falcon",
    Metadata(
        keys={"epsilon": "attention.layer_norm_epsilon"},
        neutral={"tensor_data_layout": ("jploski",)},
        views=(FUSED_QKV,),
        by_tensors=_of_tensors,
    ),
    (
        Published(
            "falcon",
            "FalconForCausalLM",
            keys={
                "epsilon": "layer_norm_epsilon",
                "intermediate_size": "ffn_hidden_size",
                "num_kv_heads": "num_kv_heads",
            },
            defaults={"is_tied": True, "epsilon": 1e-5, "context_length": 2048},
            # Its own code is that of transformers by now.
            reads=frozenset({*_FLAGS, "num_ln_in_parallel_attn", "auto_map."}),
            neutral={"activation": ("gelu",), "ff_factor": (4,)},
            ropes=_ropes,
            layers=f"{_ROOT}h",
            root=_ROOT,
            top={
                f"{_ROOT}word_embeddings": "token_embd",
                f"{_ROOT}ln_f": "output_norm",
                "lm_head": "output",
            },
            layer={
                "input_layernorm": "attn_norm",
                "ln_attn": "attn_norm_2",
                "ln_mlp": "attn_norm",
                "post_attention_layernorm": "ffn_norm",
                "self_attention.query_key_value": "attn_qkv",
                "self_attention.dense": "attn_output",
                "mlp.dense_h_to_4h": "ffn_up",
                "mlp.dense_4h_to_h": "ffn_down",
            },
            views=(QKV_BY_HEAD,),
            adapt=_of_config,
        ),
    ),
    Parts(norm=LAYER_NORM, residual=PARALLEL, feed_forward=Plain("gelu", has_bias=False)),
)

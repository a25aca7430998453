"""StableLM: layer norms, heads turned in part; some with biases, norms of heads, in parallel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import (
    LAYER_NORM,
    NORMS_BEFORE,
    PARALLEL,
    GroupedHeads,
    HeadNorm,
    Parts,
)
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.tensor_views import flattened
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import Each, Joined

_HEAD_NORMS = ("attn_q_norm", "attn_k_norm")


def _of_config(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    attention = _heads(fields.flag("use_qkv_bias", False), fields.flag("qk_layernorm", False))
    is_parallel = fields.flag("use_parallel_residual", False)
    residual = PARALLEL if is_parallel else NORMS_BEFORE
    return config, replace(parts, attention=attention, residual=residual)


def _of_metadata(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    is_parallel = fields.flag(fields.own("use_parallel_residual"), True)
    return config, replace(parts, residual=PARALLEL if is_parallel else NORMS_BEFORE)


def _of_tensors(tensors: Collection[str], parts: Parts) -> Parts:
    has_bias, has_norms = (
        f"blk.0.{name}" in tensors for name in ("attn_q.bias", "attn_q_norm.weight")
    )
    return replace(parts, attention=_heads(has_bias, has_norms))


def _heads(has_bias: bool, has_norms: bool) -> GroupedHeads:
    norm = HeadNorm("layer", "each") if has_norms else None
    return GroupedHeads(has_bias=has_bias, head_norm=norm)


STABLELM = Architecture(
    "stablelm",
    Metadata(
        keys={"epsilon": "attention.layer_norm_epsilon"},
        reads=frozenset({"use_parallel_residual"}),
        adapt=_of_metadata,
        by_tensors=_of_tensors,
        views=(Each(flattened, _HEAD_NORMS),),
    ),
    (
        Published(
            "stablelm",
            "StableLmForCausalLM",
            keys={"epsilon": "layer_norm_eps"},
            defaults={"epsilon": 1e-5, "rotary_share": 0.25},
            reads=frozenset(
                {
                    "partial_rotary_factor",
                    "qk_layernorm",
                    "use_parallel_residual",
                    "use_qkv_bias",
                }
            ),
            adapt=_of_config,
            views=(
                Joined("self_attn.q_layernorm.norms", "attn_q_norm"),
                Joined("self_attn.k_layernorm.norms", "attn_k_norm"),
            ),
        ),
    ),
    Parts(norm=LAYER_NORM),
)

"""Command R: one norm for attention and feed-forward, which stand in parallel; scaled logits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.architectures.qwen3 import HEAD_NORMS
from inferflux.ir.frontend.blocks import PARALLEL, PLAIN_LAYER_NORM, GroupedHeads, HeadNorm, Parts
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.tensor_views import flattened
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import Each

_FLAT_NORMS = (Each(flattened, ("attn_q_norm", "attn_k_norm")),)  # stored as [H, D_h]


def _of_config(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    return config, _with_norms(parts, fields.flag("use_qk_norm", False))


def _of_tensors(tensors: Collection[str], parts: Parts) -> Parts:
    return _with_norms(parts, "blk.0.attn_q_norm.weight" in tensors)


def _with_norms(parts: Parts, has_norms: bool) -> Parts:
    norm = HeadNorm("layer", "each") if has_norms else None
    return replace(parts, attention=GroupedHeads(head_norm=norm))


COHERE = Architecture(
    "command-r",
    Metadata(
        pairs="adjacent",
        keys={"epsilon": "attention.layer_norm_epsilon", "logit_scale": "logit_scale"},
        views=_FLAT_NORMS,
        by_tensors=_of_tensors,
    ),
    (
        Published(
            "cohere",
            "CohereForCausalLM",
            pairs="adjacent",
            keys={"epsilon": "layer_norm_eps", "logit_scale": "logit_scale"},
            defaults={
                "is_tied": True,
                "epsilon": 1e-5,
                "logit_scale": 0.0625,
                "theta": 500_000.0,
            },
            reads=frozenset({"use_qk_norm"}),
            layer={k: v for k, v in {**LAYER, **HEAD_NORMS}.items() if v != "ffn_norm"},
            views=_FLAT_NORMS,
            adapt=_of_config,
        ),
    ),
    Parts(norm=PLAIN_LAYER_NORM, residual=PARALLEL),
)

"""Granite MoE: Granite's scales, and experts whose gates and values are one tensor."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.architectures.granite import (
    CONFIG_KEYS,
    METADATA_KEYS,
    divided_logits,
)
from inferflux.ir.frontend.blocks import Parts, Routing
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.experts import EXPERT_KEYS, with_experts
from inferflux.ir.frontend.huggingface.experts import ExpertWords
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.stacks import FusedExperts
from inferflux.ir.frontend.typed import Fields

_WORDS = ExpertWords()
_FUSED = FusedExperts(
    "ffn_gate_up_exps",
    {
        "ffn_gate_exps.weight": lambda rows: rows[:, : rows.shape[1] // 2],
        "ffn_up_exps.weight": lambda rows: rows[:, rows.shape[1] // 2 :],
    },
)


def _stated(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    return divided_logits(fields, *with_experts(Routing())(fields, config, parts))


def _published(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    return divided_logits(fields, *_WORDS.adapt(fields, config, parts))


GRANITEMOE = Architecture(
    "granitemoe",
    Metadata(
        pairs="adjacent",
        keys=METADATA_KEYS,
        reads=EXPERT_KEYS,
        neutral={"rope.scaling.finetuned": (True,)},  # False: no layer would turn its heads
        adapt=_stated,
    ),
    (
        Published(
            "granitemoe",
            "GraniteMoeForCausalLM",
            keys=CONFIG_KEYS,
            defaults={"attention_scale": 1.0},
            reads=_WORDS.keys,
            adapt=_published,
            views=(_FUSED,),
            layer={
                **LAYER,
                "block_sparse_moe.router.layer": "ffn_gate_inp",
                "block_sparse_moe.input_linear": "ffn_gate_up_exps",
                "block_sparse_moe.output_linear": "ffn_down_exps",
            },
        ),
    ),
)

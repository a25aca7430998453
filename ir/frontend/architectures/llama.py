"""Llama 1 to 3, Mistral and Mixtral, all of which a GGUF calls llama."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import Gated, GroupedHeads, Parts, Routing
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.experts import EXPERT_KEYS, with_experts
from inferflux.ir.frontend.gguf.rope import FACTORS
from inferflux.ir.frontend.huggingface.experts import ExpertWords
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import same_windows
from inferflux.ir.frontend.stacks import StackedExperts
from inferflux.ir.frontend.typed import Fields

_MIXTRAL = ExpertWords()


def biases_of_config(
    fields: Fields, config: ModelConfig, parts: Parts
) -> tuple[ModelConfig, Parts]:
    """Of all four projections of attention, and of all three of feed-forward."""
    attention, feed_forward = (fields.flag(f"{part}_bias", False) for part in ("attention", "mlp"))
    return config, _with_biases(parts, attention, feed_forward)


def _biases_of_tensors(tensors: Collection[str], parts: Parts) -> Parts:
    attention, feed_forward = (f"blk.0.{m}.bias" in tensors for m in ("attn_q", "ffn_up"))
    return _with_biases(parts, attention, feed_forward)


def _with_biases(parts: Parts, attention: bool, feed_forward: bool) -> Parts:
    return replace(
        parts,
        attention=GroupedHeads(has_bias=attention, has_output_bias=attention),
        feed_forward=Gated(has_bias=feed_forward),
    )


LLAMA = Architecture(
    "llama",
    Metadata(
        pairs="adjacent",
        rope_tensors=(FACTORS,),
        reads=EXPERT_KEYS,
        adapt=with_experts(Routing()),
        by_tensors=_biases_of_tensors,
    ),
    (
        Published(
            "llama",
            "LlamaForCausalLM",
            reads=frozenset({"attention_bias", "mlp_bias"}),
            neutral={"activation": ("swiglu",)},  # Falcon 3's word beside hidden_act
            adapt=biases_of_config,
        ),
        Published("mistral", "MistralForCausalLM", windows=same_windows),
        Published(
            "mixtral",
            "MixtralForCausalLM",
            windows=same_windows,
            reads=_MIXTRAL.keys,
            adapt=_MIXTRAL.adapt,
            views=(
                StackedExperts(
                    "block_sparse_moe.experts",
                    {"w1": "ffn_gate_exps", "w2": "ffn_down_exps", "w3": "ffn_up_exps"},
                ),
            ),
            layer={**LAYER, "block_sparse_moe.gate": "ffn_gate_inp"},
        ),
    ),
)

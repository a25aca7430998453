"""Qwen 3 MoE: queries and keys normalised by head; experts chosen by a softmax."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import GroupedHeads, HeadNorm, Parts, Routing
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.experts import EXPERT_KEYS, with_experts
from inferflux.ir.frontend.huggingface.experts import ExpertWords
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import windows_if_used
from inferflux.ir.frontend.stacks import StackedExperts

_WORDS = ExpertWords(
    width="moe_intermediate_size",
    normalised="norm_topk_prob",
    sparse_step="decoder_sparse_step",
    dense_layers="mlp_only_layers",
)

QWEN3MOE = Architecture(
    "qwen3moe",
    Metadata(reads=EXPERT_KEYS, adapt=with_experts(Routing())),
    (
        Published(
            "qwen3_moe",
            "Qwen3MoeForCausalLM",
            reads=_WORDS.keys,
            adapt=_WORDS.adapt,
            views=(StackedExperts("mlp.experts"),),
            windows=windows_if_used,
            layer={
                **LAYER,
                "self_attn.q_norm": "attn_q_norm",
                "self_attn.k_norm": "attn_k_norm",
                "mlp.gate": "ffn_gate_inp",
            },
        ),
    ),
    Parts(attention=GroupedHeads(head_norm=HeadNorm())),
)

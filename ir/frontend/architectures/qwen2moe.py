"""Qwen 1.5 and 2 MoE: biases on queries, keys and values; beside the experts one with a gate."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import GroupedHeads, Parts, Routing
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.experts import EXPERT_KEYS, SHARED_GATE, with_experts
from inferflux.ir.frontend.huggingface.experts import ExpertWords
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import windows_if_used
from inferflux.ir.frontend.stacks import StackedExperts

_WORDS = ExpertWords(
    width="moe_intermediate_size",
    normalised="norm_topk_prob",
    shared_width="shared_expert_intermediate_size",
    sparse_step="decoder_sparse_step",
    dense_layers="mlp_only_layers",
)

QWEN2MOE = Architecture(
    "qwen2moe",
    Metadata(
        reads=EXPERT_KEYS,
        adapt=with_experts(Routing(normalised=False), is_shared=True),
        views=(SHARED_GATE,),
    ),
    (
        Published(
            "qwen2_moe",
            "Qwen2MoeForCausalLM",
            reads=_WORDS.keys,
            neutral={"qkv_bias": (True,)},
            adapt=_WORDS.adapt,
            views=(StackedExperts("mlp.experts"),),
            windows=windows_if_used,
            layer={
                **LAYER,
                "mlp.gate": "ffn_gate_inp",
                "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
                "mlp.shared_expert.up_proj": "ffn_up_shexp",
                "mlp.shared_expert.down_proj": "ffn_down_shexp",
                "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
            },
        ),
    ),
    Parts(attention=GroupedHeads(has_bias=True)),
)

"""Llama 1 to 3, Mistral and Mixtral, all of which a GGUF calls llama."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import Routing
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.experts import EXPERT_KEYS, with_experts
from inferflux.ir.frontend.gguf.rope import FACTORS
from inferflux.ir.frontend.huggingface.experts import ExpertWords
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import same_windows
from inferflux.ir.frontend.stacks import StackedExperts

_MIXTRAL = ExpertWords()

LLAMA = Architecture(
    "llama",
    Metadata(
        pairs="adjacent",
        rope_tensors=(FACTORS,),
        reads=EXPERT_KEYS,
        adapt=with_experts(Routing()),
    ),
    (
        Published("llama", "LlamaForCausalLM"),
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

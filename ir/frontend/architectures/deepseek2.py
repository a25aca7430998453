"""DeepSeek-V2 and V3: latent attention, and behind the first layers experts beside shared ones."""

from __future__ import annotations

import re
from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import LatentHeads, Parts
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf import latent as metadata
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface import latent as published
from inferflux.ir.frontend.huggingface.latent import LatentWords
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.latent_views import Absorbed, SplitHeads, of_queries, of_what_is_kept
from inferflux.ir.frontend.source import SourceTensor
from inferflux.ir.frontend.stacks import StackedExperts
from inferflux.ir.frontend.views import Tensors

_LAYER_OF_DIRECTORY = re.compile(r"model\.layers\.(\d+)\..+|blk\.(\d+)\..+")
_CHOICE_BIAS = ".exp_probs_b."


def _bias_of_the_choice(tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
    """Which is no weight of a module, and a bias to a GGUF."""
    found = {
        name.replace(f"{_CHOICE_BIAS}weight", f"{_CHOICE_BIAS}bias"): tensor
        for name, tensor in tensors.items()
    }
    return {name: replace(tensor, name=name) for name, tensor in found.items()}


def _without_predicted_tokens(tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
    """V3's directories hold a layer more, which guesses tokens ahead and adds nothing to logits."""

    def is_of_the_model(name: str) -> bool:
        match = _LAYER_OF_DIRECTORY.fullmatch(name)
        return match is None or int(match[1] or match[2]) < config.num_layers

    return {name: tensor for name, tensor in tensors.items() if is_of_the_model(name)}


_SPLITS = (
    SplitHeads("attn_q", ("attn_q_nope", "attn_q_rope"), of_queries),
    SplitHeads("attn_q_b", ("attn_q_nope", "attn_q_rope"), of_queries),
    SplitHeads("attn_kv_a_mqa", ("attn_kv_a", "attn_k_rope"), of_what_is_kept),
)


def _published(model_type: str, class_name: str, *, is_v3: bool) -> Published:
    words = LatentWords(is_v3)
    return Published(
        model_type,
        class_name,
        keys={"head_dim": "qk_rope_head_dim"},
        # Their own code is that of transformers by now.
        reads=published.KEYS | {"num_nextn_predict_layers", "num_mtp_layers", "auto_map."},
        neutral={
            "ep_size": (1,),
            "moe_layer_freq": (1,),
            "scoring_func": ("sigmoid" if is_v3 else "softmax",),
            **({} if is_v3 else {"norm_topk_prob": (False,)}),
        },
        adapt=words.adapt,
        views=(
            _without_predicted_tokens,
            _bias_of_the_choice,
            *_SPLITS,
            Absorbed(),
            StackedExperts("mlp.experts"),
        ),
        layer={
            **LAYER,
            "self_attn.q_proj": "attn_q",
            "self_attn.q_a_proj": "attn_q_a",
            "self_attn.q_a_layernorm": "attn_q_a_norm",
            "self_attn.q_b_proj": "attn_q_b",
            "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
            "self_attn.kv_a_layernorm": "attn_kv_a_norm",
            "self_attn.kv_b_proj": "attn_kv_b",
            "mlp.gate": "ffn_gate_inp",
            "mlp.gate.e_score_correction_bias": "exp_probs_b",
            "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
            "mlp.shared_experts.up_proj": "ffn_up_shexp",
            "mlp.shared_experts.down_proj": "ffn_down_shexp",
        },
    )


DEEPSEEK2 = Architecture(
    "deepseek2",
    Metadata(
        pairs="adjacent",
        keys={"head_dim": "rope.dimension_count"},
        reads=metadata.KEYS,
        adapt=metadata.with_latents,
        views=_SPLITS,
        has_one_head_size=False,
    ),
    (
        _published("deepseek_v2", "DeepseekV2ForCausalLM", is_v3=False),
        _published("deepseek_v3", "DeepseekV3ForCausalLM", is_v3=True),
    ),
    Parts(attention=LatentHeads()),
)

"""What a GGUF states of a configuration, by the keys that llama.cpp's converter writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gguf
import numpy as np

Config = Mapping[str, Any]
Keys = dict[str, object]

# Of every architecture, by the first of these words that a configuration has.
_WHOLE = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "embedding_length": ("hidden_size", "n_embd"),
    "feed_forward_length": ("intermediate_size", "n_inner"),
    "attention.head_count": ("num_attention_heads", "n_head"),
    "attention.head_count_kv": ("num_key_value_heads",),
    "block_count": ("num_hidden_layers", "n_layer"),
    "expert_count": ("num_local_experts", "num_experts", "n_routed_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_group_count": ("n_group",),
    "expert_group_used_count": ("topk_group",),
    "attention.key_length": ("head_dim",),
    "attention.value_length": ("head_dim",),
}
_REAL = {
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps",),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
}
_STATES_NO_BASE = frozenset({"gemma", "gemma2", "stablelm", "gpt_neox", "falcon", "gpt2"})
_LLAMAS = frozenset({"llama", "mistral", "mixtral", "smollm3", "granite", "granitemoe"})


def gguf_keys(config: Config) -> Keys:
    """Without the architecture's name before them."""
    kind = config["model_type"]
    keys: Keys = {}
    for key, words in _WHOLE.items():
        if (value := _first(config, words)) is not None:
            keys[key] = np.uint32(value)
    for key, words in _REAL.items():
        if (value := _first(config, words)) is not None:
            keys[key] = np.float32(value)
    keys |= dict(_rope(config))
    if kind in _LLAMAS:
        keys |= {"vocab_size": np.uint32(config["vocab_size"]), **_rotated(_head_dim(config))}
    keys |= _OWN.get(kind, _nothing)(config)
    return {key: value for key, value in keys.items() if value is not None}


def _rope(config: Config) -> Iterator[tuple[str, object]]:
    rope = config.get("rope_parameters") or {}
    own = rope.get("full_attention", rope)
    if config["model_type"] not in _STATES_NO_BASE and "rope_theta" in own:
        yield "rope.freq_base", np.float32(own["rope_theta"])
    if "sliding_attention" in rope:
        yield "rope.freq_base_swa", np.float32(rope["sliding_attention"]["rope_theta"])
    match own.get("rope_type"):
        case "linear" | "yarn" as kind:
            yield "rope.scaling.type", kind
            yield "rope.scaling.factor", np.float32(own["factor"])
    if own.get("rope_type") == "yarn":
        yield from _yarn(own)


def _yarn(rope: Config) -> Iterator[tuple[str, object]]:
    original = rope["original_max_position_embeddings"]
    yield "rope.scaling.original_context_length", np.uint32(original)
    for key, word in (
        ("yarn_attn_factor", "attention_factor"),
        ("yarn_beta_fast", "beta_fast"),
        ("yarn_beta_slow", "beta_slow"),
    ):
        if rope.get(word) is not None:
            yield f"rope.scaling.{key}", np.float32(rope[word])


def _nothing(config: Config) -> Keys:
    return {}


def _granite(config: Config) -> Keys:
    words = {
        "attention.scale": "attention_multiplier",
        "embedding_scale": "embedding_multiplier",
        "residual_scale": "residual_multiplier",
        "logit_scale": "logits_scaling",
    }
    return {key: np.float32(config[word]) for key, word in words.items()}


def _qwen2_moe(config: Config) -> Keys:
    shared = config.get("shared_expert_intermediate_size")
    return {
        "expert_feed_forward_length": np.uint32(config["moe_intermediate_size"]),
        "expert_shared_feed_forward_length": None if shared is None else np.uint32(shared),
    }


def _gemma2(config: Config) -> Keys:
    return {
        "attn_logit_softcapping": np.float32(config["attn_logit_softcapping"]),
        "final_logit_softcapping": np.float32(config["final_logit_softcapping"]),
        "attention.sliding_window": np.uint32(config["sliding_window"]),
    }


def _window(config: Config) -> Keys:
    return {"attention.sliding_window": np.uint32(config["sliding_window"])}


def _phi3(config: Config) -> Keys:
    rope = config["rope_parameters"]
    original = config["original_max_position_embeddings"]
    keys: Keys = {
        "rope.scaling.original_context_length": np.uint32(original),
        "attention.sliding_window": np.uint32(config["sliding_window"] or 0),
        **_rotated(int(rope["partial_rotary_factor"] * _head_dim(config))),
    }
    if rope["rope_type"] == "longrope":
        stretch = config["max_position_embeddings"] / original
        factor = math.sqrt(1 + math.log(stretch) / math.log(original))
        keys["rope.scaling.attn_factor"] = np.float32(factor)
    return keys


def _cohere(config: Config) -> Keys:
    return {"logit_scale": np.float32(config["logit_scale"]), "rope.scaling.type": "none"}


def _parallel(config: Config) -> Keys:
    """StableLM and GPT-NeoX."""
    turned = config["rope_parameters"]["partial_rotary_factor"] * _head_dim(config)
    is_parallel = bool(config["use_parallel_residual"])
    keys: Keys = {"use_parallel_residual": is_parallel, **_rotated(int(turned))}
    if config["model_type"] == "gpt_neox":
        keys["attention.head_count_kv"] = None
    return keys


def _gpt2(config: Config) -> Keys:
    return {"feed_forward_length": np.uint32(4 * config["n_embd"])}


def _falcon(config: Config) -> Keys:
    """Older configurations state the heads of keys by another word."""
    kv_heads = config["num_kv_heads"] if config["new_decoder_architecture"] else 1
    return {
        "tensor_data_layout": "jploski",
        "context_length": np.uint32(2048),
        "feed_forward_length": np.uint32(4 * config["hidden_size"]),
        "attention.head_count_kv": np.uint32(kv_heads),
    }


def _deepseek(config: Config) -> Keys:
    """One KV head of latents and of what is rotated, as the absorbed form reads it."""
    latent, rotated = config["kv_lora_rank"], config["qk_rope_head_dim"]
    query = config["q_lora_rank"]
    all_dim = config["rope_parameters"].get("mscale_all_dim")
    is_v3 = config["model_type"] == "deepseek_v3"
    gating = gguf.ExpertGatingFuncType.SIGMOID
    return {
        "vocab_size": np.uint32(config["vocab_size"]),
        "attention.head_count_kv": np.uint32(1),
        "attention.q_lora_rank": None if query is None else np.uint32(query),
        "attention.kv_lora_rank": np.uint32(latent),
        "attention.key_length": np.uint32(latent + rotated),
        "attention.value_length": np.uint32(latent),
        "attention.key_length_mla": np.uint32(config["qk_nope_head_dim"] + rotated),
        "attention.value_length_mla": np.uint32(config["v_head_dim"]),
        "leading_dense_block_count": np.uint32(config["first_k_dense_replace"]),
        "expert_feed_forward_length": np.uint32(config["moe_intermediate_size"]),
        "expert_shared_count": np.uint32(config["n_shared_experts"]),
        "expert_weights_scale": np.float32(config["routed_scaling_factor"]),
        "expert_weights_norm": True if config["norm_topk_prob"] else None,
        "expert_gating_func": np.uint32(gating.value) if is_v3 else None,
        "rope.scaling.yarn_log_multiplier": None if all_dim is None else np.float32(0.1 * all_dim),
        **_rotated(rotated),
    }


def _gpt_oss(config: Config) -> Keys:
    width = np.uint32(config["intermediate_size"])
    return {**_window(config), "expert_feed_forward_length": width}


_OWN: Mapping[str, Callable[[Config], Keys]] = {
    "granite": _granite,
    "granitemoe": _granite,
    "qwen2_moe": _qwen2_moe,
    "qwen3_moe": _qwen2_moe,
    "gemma2": _gemma2,
    "gemma3_text": _window,
    "phi3": _phi3,
    "cohere": _cohere,
    "stablelm": _parallel,
    "gpt_neox": _parallel,
    "gpt2": _gpt2,
    "falcon": _falcon,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "gpt_oss": _gpt_oss,
}


def _rotated(dim: int) -> Keys:
    return {"rope.dimension_count": np.uint32(dim)}


def _head_dim(config: Config) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def _first(config: Config, words: tuple[str, ...]) -> Any:
    return next((config[word] for word in words if config.get(word) is not None), None)

"""The words of published config.json files, as their authors wrote them: what becomes of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import huggingface_files
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelConfig, ModelFileError, UnsupportedModel
from inferflux.ir.frontend.facts import Rope
from tiny import files

Config = dict[str, Any]
Read = Callable[[Config], ModelConfig]

SIZES: Config = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 6,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-05,
    "vocab_size": 320,
}
MISTRAL = SIZES | {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_act": "silu",
    "rope_theta": 10000.0,
    "sliding_window": 16,
    "tie_word_embeddings": False,
}
GEMMA = SIZES | {
    "architectures": ["GemmaForCausalLM"],
    "model_type": "gemma",
    "hidden_act": "gelu",
    "hidden_activation": None,
    "head_dim": 32,
    "rope_scaling": None,
}
GEMMA2 = SIZES | {
    "architectures": ["Gemma2ForCausalLM"],
    "model_type": "gemma2",
    "attn_logit_softcapping": 50.0,
    "cache_implementation": "hybrid",
    "final_logit_softcapping": 30.0,
    "head_dim": 32,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 256,
    "sliding_window": 16,
}
GEMMA3 = SIZES | {
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "head_dim": 32,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 256,
    "rope_local_base_freq": 10000,
    "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    "rope_theta": 1000000,
    "sliding_window": 16,
    "sliding_window_pattern": 6,
}
PHI4 = SIZES | {
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"},
    "full_attn_mod": 1,
    "interpolate_factor": 1,
    "lm_head_bias": False,
    "original_max_position_embeddings": 64,
    "partial_rotary_factor": 0.75,
    "num_attention_heads": 2,
    "sliding_window": 262144,
    "tie_word_embeddings": True,
}
SMOLLM3 = SIZES | {
    "architectures": ["SmolLM3ForCausalLM"],
    "model_type": "smollm3",
    "layer_types": ["full_attention"] * 6,
    "max_window_layers": 28,
    "no_rope_layer_interval": 4,
    "no_rope_layers": [1, 1, 1, 0, 1, 1],
    "pretraining_tp": 2,
    "rope_theta": 5000000.0,
    "use_sliding_window": False,
}
GRANITE = SIZES | {
    "architectures": ["GraniteForCausalLM"],
    "model_type": "granite",
    "attention_multiplier": 0.015625,
    "embedding_multiplier": 12.0,
    "logits_scaling": 8.0,
    "residual_multiplier": 0.22,
}
FALCON = {
    "architectures": ["FalconForCausalLM"],
    "model_type": "falcon",
    "alibi": False,
    "apply_residual_connection_post_layernorm": False,
    "auto_map": {"AutoModelForCausalLM": "modeling_falcon.FalconForCausalLM"},
    "bias": False,
    "hidden_size": 64,
    "layer_norm_epsilon": 1e-05,
    "multi_query": True,
    "new_decoder_architecture": False,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "parallel_attn": True,
    "vocab_size": 320,
}
PYTHIA = {
    "architectures": ["GPTNeoXForCausalLM"],
    "model_type": "gpt_neox",
    "hidden_act": "gelu",
    "hidden_size": 64,
    "intermediate_size": 256,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "rotary_emb_base": 20000,
    "rotary_pct": 0.25,
    "use_parallel_residual": True,
    "vocab_size": 320,
}
GPT2 = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-05,
    "n_ctx": 64,
    "n_embd": 64,
    "n_head": 4,
    "n_layer": 2,
    "n_positions": 64,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 320,
}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A directory of some tensors, whatever they are: only its config is read."""

    def config(text: Config) -> ModelConfig:
        (tmp_path / "config.json").write_text(json.dumps(text))
        one = huggingface_files.store(np.ones(2, np.float32))
        huggingface_files.write_weights(tmp_path, {f"t{number}": one for number in range(8)})
        files.write_tokenizer(tmp_path)
        return frontend.config(frontend.open(tmp_path))

    return config


def test_mistral_sees_a_window_in_every_layer(read: Read) -> None:
    assert read(MISTRAL).windows == (16,) * 6
    assert read(MISTRAL | {"sliding_window": None}).windows == (None,) * 6


def test_gemma_means_the_other_gelu_and_scales_its_embedding(read: Read) -> None:
    config = read(GEMMA)
    assert (config.embedding_scale, config.is_tied, config.head_dim) == (8.0, True, 32)
    with pytest.raises(UnsupportedModel, match="'hidden_act'"):
        read(GEMMA | {"hidden_act": "relu"})


def test_gemma_2_caps_what_is_not_null(read: Read) -> None:
    config = read(GEMMA2)
    assert (config.attention_cap, config.logit_cap, config.attention_scale) == (50.0, 30.0, 1 / 16)
    assert config.windows == (16, None) * 3
    assert read(GEMMA2 | {"final_logit_softcapping": None}).logit_cap is None
    unsaid = {key: value for key, value in GEMMA2.items() if key != "final_logit_softcapping"}
    assert read(unsaid).logit_cap == 30.0


def test_gemma_3_turns_windowed_layers_by_a_base_of_their_own(read: Read) -> None:
    config = read(GEMMA3)
    local, whole = Rope(10000.0, 32), Rope(1000000.0, 32, factors=(8.0,) * 16)
    assert config.ropes == (local,) * 5 + (whole,)
    assert config.windows == (16,) * 5 + (None,)
    with pytest.raises(UnsupportedModel, match="'attn_logit_softcapping'"):
        read(GEMMA3 | {"attn_logit_softcapping": 50.0})


def test_phi_4_turns_part_of_a_head(read: Read) -> None:
    assert read(PHI4).ropes == (Rope(10000.0, 24),) * 6
    with pytest.raises(UnsupportedModel, match="'lm_head_bias'"):
        read(PHI4 | {"lm_head_bias": True})


def test_smollm_3_leaves_some_layers_unturned(read: Read) -> None:
    turned = Rope(5000000.0, 16)
    assert read(SMOLLM3).ropes == (turned, turned, turned, None, turned, turned)
    with pytest.raises(ModelFileError, match=r"'no_rope_layers'.* must be 0 or 1 of each of 6"):
        read(SMOLLM3 | {"no_rope_layers": [1, 0]})


def test_granite_divides_logits(read: Read) -> None:
    config = read(GRANITE)
    scales = (config.embedding_scale, config.residual_scale, config.logit_scale)
    assert scales == (12.0, 0.22, 0.125)
    assert config.attention_scale == 0.015625
    with pytest.raises(ModelFileError, match=r"'logits_scaling' .* must be 1e-06\.\.1e\+06"):
        read(GRANITE | {"logits_scaling": 1e-320})


def test_falcon_has_the_kv_heads_of_its_kind(read: Read) -> None:
    assert read(FALCON).num_kv_heads == 1
    assert read(FALCON | {"num_kv_heads": 4}).num_kv_heads == 1
    assert read(FALCON | {"multi_query": False}).num_kv_heads == 4
    assert read(FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}).num_kv_heads == 2
    assert read(FALCON | {"alibi": True}).ropes == (None, None)
    with pytest.raises(UnsupportedModel, match="'apply_residual_connection_post_layernorm'"):
        read(FALCON | {"apply_residual_connection_post_layernorm": True})


def test_pythia_has_words_of_its_own(read: Read) -> None:
    assert read(PYTHIA).ropes == (Rope(20000.0, 8),) * 2


def test_gpt_2_knows_positions_by_heart(read: Read) -> None:
    config = read(GPT2)
    assert (config.ropes, config.intermediate_size, config.is_tied) == ((None, None), 256, True)
    with pytest.raises(UnsupportedModel, match="'scale_attn_weights'"):
        read(GPT2 | {"scale_attn_weights": False})

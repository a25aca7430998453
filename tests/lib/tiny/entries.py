"""The table of tiny models: an entry for each architecture and each way in which it varies.

To run one: ``pytest -m oracle tests/oracle/test_architectures.py -k gemma2``.  An architecture that
is not in the front end's table is expected to be refused; one that is there must be right, but for
what an entry calls ``pending``, which must fail for as long as it is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

VOCAB, CONTEXT, WINDOW, ORIGINAL = 320, 96, 12, 20
NUM_TOKENS = 48  # beyond the window, and beyond the original length of scaled rotations


@dataclass(frozen=True, slots=True)
class Entry:
    """A configuration of transformers.  ``has_gguf``: llama.cpp's files state this variation."""

    name: str
    model_type: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    has_gguf: bool = True
    pending: str = ""  # what is not built yet, of an architecture that is
    pending_gguf: str = ""
    not_in_peer: str = ""  # why llama.cpp computes something else from the GGUF, or refuses it
    is_rotated_by_length: bool = False  # transformers is right only token by token, with a cache


SHARED = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def rope(kind: str, theta: float = 500.0, **scaling: Any) -> dict[str, Any]:
    """With a base so low that pairs of every speed occur in heads of 16."""
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **scaling}}


def _longrope(pairs: int, **scaling: Any) -> dict[str, Any]:
    return rope(
        "longrope",
        short_factor=[1.0 + index / 8 for index in range(pairs)],
        long_factor=[1.5 + index / 2 for index in range(pairs)],
        original_max_position_embeddings=ORIGINAL,
        **scaling,
    )


LLAMA3 = rope(
    "llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=ORIGINAL,
)
YARN = {"factor": 4.0, "original_max_position_embeddings": ORIGINAL}


def _entries() -> Iterator[Entry]:
    yield from _llamas()
    yield from _mixtures()
    yield from _qwens()
    yield from _gemmas()
    yield from _phis()
    yield from _others()
    yield from _layer_normed()
    yield from _deepseeks()


def _llamas() -> Iterator[Entry]:
    yield Entry("llama", "llama")
    one_head = {"num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 256}
    yield Entry("llama-head-of-256", "llama", {**one_head, "tie_word_embeddings": True})
    yield Entry(
        "llama-16-to-1",
        "llama",
        {"num_attention_heads": 16, "num_key_value_heads": 1, "head_dim": 16},
    )
    # Unlike Qwen2's, o_proj has a bias, too.
    biases = {"attention_bias": True, "mlp_bias": True}
    yield Entry("llama-biases", "llama", biases)
    yield Entry("llama-linear", "llama", rope("linear", factor=4.0))
    yield Entry("llama-llama3", "llama", LLAMA3)
    yield Entry("llama-yarn", "llama", rope("yarn", **YARN))
    odd = {"beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.25}
    stated = rope("yarn", **YARN, **odd)
    replaced = "it computes the factor of cosines itself, whatever the file states"
    yield Entry("llama-yarn-stated", "llama", stated, not_in_peer=replaced)
    dynamic = rope("dynamic", factor=3.0) | {"max_position_embeddings": ORIGINAL}
    yield Entry(
        "llama-dynamic",
        "llama",
        dynamic,
        has_gguf=False,
        is_rotated_by_length=True,
    )
    yield Entry("mistral", "mistral", {"sliding_window": None})
    # A GGUF of it loses the window, so the two are other formulas beyond it.
    yield Entry("mistral-window", "mistral", {"sliding_window": WINDOW}, has_gguf=False)
    yield Entry("smollm3", "smollm3", {"num_hidden_layers": 5, "tie_word_embeddings": True})
    apart = {"no_rope_layers": [0, 1, 0, 1], "num_hidden_layers": 4}
    yield Entry("smollm3-other-layers", "smollm3", apart, has_gguf=False)


def _mixtures() -> Iterator[Entry]:
    mixture = {"num_local_experts": 4, "num_experts_per_tok": 2}
    yield Entry("mixtral", "mixtral", mixture)
    multipliers = {
        "attention_multiplier": 0.1,  # not 1 / sqrt(head_dim)
        "embedding_multiplier": 3.0,
        "residual_multiplier": 0.3,
        "logits_scaling": 2.0,  # divides
    }
    yield Entry("granite", "granite", multipliers)
    yield Entry("granite-moe", "granitemoe", {**multipliers, **mixture})
    # An expert's gate and up alternate, are clamped, have biases; a head attends to a sink, too.
    gpt_oss = {
        "head_dim": 16,
        "sliding_window": WINDOW,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "intermediate_size": 64,
    }
    plain = rope("default")
    yield Entry("gpt-oss", "gpt_oss", {**gpt_oss, **plain})
    yarn = rope("yarn", **YARN, truncate=False, beta_fast=32.0, beta_slow=1.0)
    yield Entry(
        "gpt-oss-yarn",
        "gpt_oss",
        {**gpt_oss, **yarn},
        not_in_peer="it rounds the pairs between which yarn passes over, whatever truncate says",
    )


def _qwens() -> Iterator[Entry]:
    yield Entry("qwen2", "qwen2", {"tie_word_embeddings": True})
    window = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}
    yield Entry("qwen2-window", "qwen2", window, has_gguf=False)
    yield Entry("qwen2-yarn", "qwen2", rope("yarn", **YARN))
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    shared = {**experts, "shared_expert_intermediate_size": 48}
    yield Entry("qwen2-moe", "qwen2_moe", shared)
    # llama.cpp takes for granted whether chosen weights are normalised, and that all are mixtures.
    yield Entry(
        "qwen2-moe-normalised", "qwen2_moe", {**shared, "norm_topk_prob": True}, has_gguf=False
    )
    # q_norm and k_norm span one head, and stand before the rotation.
    yield Entry("qwen3", "qwen3", {"head_dim": 32})
    yield Entry("qwen3-moe", "qwen3_moe", {**experts, "head_dim": 32, "norm_topk_prob": True})
    some_dense = {**experts, "head_dim": 32, "mlp_only_layers": [1]}
    yield Entry("qwen3-moe-some-dense", "qwen3_moe", some_dense, has_gguf=False)


def _gemmas() -> Iterator[Entry]:
    # Norms are by w + 1; the embedding is times sqrt(D), which transformers rounds to its dtype.
    yield Entry("gemma", "gemma", {"head_dim": 32, "num_key_value_heads": 1})
    gemma2 = {
        "head_dim": 32,
        "num_hidden_layers": 4,
        "sliding_window": WINDOW,
        "attn_logit_softcapping": 5.0,  # low, so that they bend these logits, too
        "final_logit_softcapping": 20.0,
    }
    yield Entry("gemma2", "gemma2", {**gemma2, "query_pre_attn_scalar": 32})
    yield Entry(
        "gemma2-other-scale", "gemma2", {**gemma2, "query_pre_attn_scalar": 24}, has_gguf=False
    )
    gemma3 = {"head_dim": 32, "num_hidden_layers": 7, "sliding_window": WINDOW}
    local = {"rope_type": "default", "rope_theta": 500.0}
    plain = {"full_attention": {"rope_type": "default", "rope_theta": 9000.0}}
    scaled = {"full_attention": {"rope_type": "linear", "rope_theta": 9000.0, "factor": 8.0}}
    fields = {**gemma3, "query_pre_attn_scalar": 32}
    yield Entry(
        "gemma3",
        "gemma3_text",
        {**fields, "rope_parameters": {**plain, "sliding_attention": local}},
    )
    linear = {**fields, "rope_parameters": {**scaled, "sliding_attention": local}}
    yield Entry("gemma3-linear", "gemma3_text", linear)
    # Its text is computed; what is said of it is a group of its own.
    tower = {"hidden_size": 24, "intermediate_size": 32, "image_size": 64, "num_hidden_layers": 1}
    seeing = {"text_config": {**SHARED, **linear}, "vision_config": tower}
    whole = {**dict.fromkeys(SHARED), **seeing, "mm_tokens_per_image": 4}
    yield Entry("gemma3-with-images", "gemma3", whole, has_gguf=False)


def _phis() -> Iterator[Entry]:
    # Queries, keys and values are one tensor, gate and up another.
    own = {"original_max_position_embeddings": CONTEXT}
    yield Entry("phi3", "phi3", own)
    # llama.cpp turns the window off, for most files of it were wrong.
    yield Entry("phi3-window", "phi3", {**own, "sliding_window": WINDOW}, has_gguf=False)
    partial = rope("default", partial_rotary_factor=0.75)
    phi4 = {**own, **partial, "num_attention_heads": 2, "num_key_value_heads": 1}
    yield Entry("phi4-partial", "phi3", {**phi4, "tie_word_embeddings": True})
    scaled = {**_longrope(8), "original_max_position_embeddings": ORIGINAL}
    yield Entry(
        "phi3-longrope",
        "phi3",
        scaled,
        not_in_peer="it chooses factors by the room that it is given, not by the length reached",
        is_rotated_by_length=True,
    )


def _others() -> Iterator[Entry]:
    # Norms stand behind attention and feed-forward; those of queries and keys span all heads.
    yield Entry("olmo2", "olmo2")
    # One norm feeds both branches; rotation turns neighbours; logits are times logit_scale.
    yield Entry("cohere", "cohere", {"logit_scale": 0.25})
    yield Entry(
        "cohere-qk-norm",
        "cohere",
        {"logit_scale": 0.25, "use_qk_norm": True},
        not_in_peer="it looks for these norms from 64 layers on",
    )


def _layer_normed() -> Iterator[Entry]:
    # A GGUF of these states no base, so it is the usual one.
    partial = rope("default", 10000.0, partial_rotary_factor=0.25)
    stable = {**partial, "num_attention_heads": 2, "num_key_value_heads": 1}
    yield Entry("stablelm", "stablelm", {**stable, "use_qkv_bias": True})
    normed = {"qk_layernorm": True, "use_parallel_residual": True}
    yield Entry("stablelm-parallel", "stablelm", {**partial, **normed})
    yield Entry("gpt2", "gpt2", _gpt2())
    # The positions of GPT-2 are learnt, and its matrices are stored the other way round.
    by_layer = {"scale_attn_by_inverse_layer_idx": True}
    yield Entry("gpt2-scaled-by-layer", "gpt2", {**_gpt2(), **by_layer}, has_gguf=False)
    neox = {"num_attention_heads": 2, "num_key_value_heads": None, **partial}
    yield Entry("gpt-neox", "gpt_neox", neox)
    yield Entry("gpt-neox-sequential", "gpt_neox", {**neox, "use_parallel_residual": False})
    # Rows of a KV head's queries, its key and its value follow one another.
    falcon = {"num_key_value_heads": None, "ffn_hidden_size": 256, "intermediate_size": None}
    yield Entry("falcon-7b", "falcon", {**falcon, "multi_query": True})
    grouped = {**falcon, "new_decoder_architecture": True, "num_kv_heads": 2}
    yield Entry("falcon-40b", "falcon", grouped)
    alibi = {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True}
    yield Entry("falcon-rw-alibi", "falcon", {**falcon, **alibi}, has_gguf=False)
    yield Entry("starcoder2", "starcoder2", {"sliding_window": None, "tie_word_embeddings": True})
    yield Entry("starcoder2-window", "starcoder2", {"sliding_window": WINDOW}, has_gguf=False)


def _gpt2() -> dict[str, Any]:
    own = {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT}
    return own | {key: None for key in SHARED if key not in ("vocab_size", *_TOKEN_IDS)}


_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def _deepseeks() -> Iterator[Entry]:
    latent = {
        "num_key_value_heads": 4,
        "kv_lora_rank": 32,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
        "n_routed_experts": 8,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 32,
        "first_k_dense_replace": 1,
        "routed_scaling_factor": 1.5,
    }
    yield Entry(
        "deepseek-v2-lite",
        "deepseek_v2",
        {**latent, "q_lora_rank": None},
        not_in_peer="it knows plain queries by the number of layers",
    )
    groups = {"n_group": 4, "topk_group": 2}
    grouped = {**groups, "topk_method": "group_limited_greedy", "q_lora_rank": 24}
    yield Entry("deepseek-v2-groups", "deepseek_v2", {**latent, **grouped}, has_gguf=False)
    # The scale of attention is times mscale squared; the bias chooses experts and weighs none.
    yarn = rope("yarn", **YARN, mscale=0.707, mscale_all_dim=0.707)
    yield Entry("deepseek-v2-yarn", "deepseek_v2", {**latent, **yarn, "q_lora_rank": 24})
    v3 = {**latent, **groups, "q_lora_rank": 24, "n_shared_experts": 1, "norm_topk_prob": True}
    yield Entry("deepseek-v3", "deepseek_v3", v3)
    yarn = rope("yarn", **YARN, mscale=1.0, mscale_all_dim=1.0)
    yield Entry("deepseek-v3-yarn", "deepseek_v3", {**v3, **yarn})


ENTRIES = {entry.name: entry for entry in _entries()}

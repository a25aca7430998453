"""What a directory becomes as a GGUF: names, order of rows, values; as llama.cpp converts it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gguf
import numpy as np

Array = np.ndarray
Tensors = dict[str, Array]
Config = Mapping[str, Any]

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "mixtral": gguf.MODEL_ARCH.LLAMA,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "granite": gguf.MODEL_ARCH.GRANITE,
    "granitemoe": gguf.MODEL_ARCH.GRANITE_MOE,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen2_moe": gguf.MODEL_ARCH.QWEN2MOE,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
    "gemma": gguf.MODEL_ARCH.GEMMA,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "gemma3": gguf.MODEL_ARCH.GEMMA3,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "olmo2": gguf.MODEL_ARCH.OLMO2,
    "cohere": gguf.MODEL_ARCH.COMMAND_R,
    "stablelm": gguf.MODEL_ARCH.STABLELM,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox": gguf.MODEL_ARCH.GPTNEOX,
    "falcon": gguf.MODEL_ARCH.FALCON,
    "starcoder2": gguf.MODEL_ARCH.STARCODER2,
    "deepseek_v2": gguf.MODEL_ARCH.DEEPSEEK2,
    "deepseek_v3": gguf.MODEL_ARCH.DEEPSEEK2,
    "gpt_oss": gguf.MODEL_ARCH.GPT_OSS,
}
NUM_LAYERS = ("num_hidden_layers", "n_layer")
# Whose queries and keys are reordered, from halves to neighbours that turn together.
_PERMUTED = frozenset({"llama", "mistral", "mixtral", "smollm3", "granite", "granitemoe"})
_EXPERT = re.compile(r"(.+)\.experts\.(\d+)\.(\w+)\.weight")
_NORM = re.compile(r"(.+_layernorm)\.norms\.(\d+)\.weight")
_EXPERTS_OF_MIXTRAL = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}


def gguf_tensors(config: Config, tensors: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Float32 tensors under GGUF's names."""
    kind = config["model_type"]
    num_layers = next(config[name] for name in NUM_LAYERS if config.get(name))
    names = gguf.get_tensor_name_map(ARCHITECTURES[kind], num_layers)
    rearranged = _REARRANGED.get(kind, _as_they_are)(config, dict(tensors))
    for name, values in sorted(_stacked(rearranged).items()):
        if kind in _PERMUTED:
            values = _permuted(config, name, values)
        if kind.startswith("gemma") and name.endswith("norm.weight"):
            values = values + np.float32(1)
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert known is not None, f"gguf has no name for {name}"
        yield known, np.ascontiguousarray(values, np.float32)
    yield from _rope_tensors(config)


def _stacked(tensors: Tensors) -> Tensors:
    """Experts, and the norms of heads, of which there is one tensor each, put on one another."""
    stacks: dict[str, dict[int, Array]] = {}
    whole: Tensors = {}
    for name, values in tensors.items():
        if found := _EXPERT.fullmatch(name):
            stem = found[1].replace("block_sparse_moe", "mlp")
            module = _EXPERTS_OF_MIXTRAL.get(found[3], found[3])
            stacks.setdefault(f"{stem}.experts.{module}.weight", {})[int(found[2])] = values
        elif found := _NORM.fullmatch(name):
            stacks.setdefault(f"{found[1]}.weight", {})[int(found[2])] = values
        else:
            whole[name] = values
    return whole | {
        name: np.stack([parts[index] for index in range(len(parts))])
        for name, parts in stacks.items()
    }


def _permuted(config: Config, name: str, values: Array) -> Array:
    """Rows 0..d/2 and d/2..d of a head, one of each in turn."""
    heads = {
        "q_proj": config["num_attention_heads"],
        "k_proj": config["num_key_value_heads"],
    }.get(name.split(".")[-2])
    if heads is None:
        return values
    halves = values.reshape(heads, 2, -1, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _as_they_are(config: Config, tensors: Tensors) -> Tensors:
    return tensors


def _granite_moe(config: Config, tensors: Tensors) -> Tensors:
    """Gate and up are one stack of matrices."""
    out: Tensors = {}
    for name, values in tensors.items():
        if name.endswith("input_linear.weight"):
            stem = name.removesuffix("input_linear.weight")
            gate, up = np.split(values, 2, axis=1)
            out |= {f"{stem}input_linear.gate.weight": gate, f"{stem}input_linear.up.weight": up}
        else:
            out[name] = values
    renamed = {
        "input_linear.gate": "experts.gate_proj",
        "input_linear.up": "experts.up_proj",
        "output_linear": "experts.down_proj",
    }
    for old, new in renamed.items():
        out = {
            name.replace(f"block_sparse_moe.{old}", f"mlp.{new}"): values
            for name, values in out.items()
        }
    return out


def _gpt2(config: Config, tensors: Tensors) -> Tensors:
    """Its matrices are [in, out]."""
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return {name: v.T if name.endswith(turned) else v for name, v in tensors.items()}


def _gpt_neox(config: Config, tensors: Tensors) -> Tensors:
    """All queries, then all keys, then all values; of a directory each head has its three."""
    heads = config["num_attention_heads"]

    def by_kind(values: Array) -> Array:
        return values.reshape(heads, 3, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)

    return {name: by_kind(v) if "query_key_value" in name else v for name, v in tensors.items()}


def _falcon(config: Config, tensors: Tensors) -> Tensors:
    """The same; of a directory each KV head has its queries, its key and its value."""
    heads, width = config["num_attention_heads"], config["hidden_size"]
    kv_heads = _falcon_kv_heads(config)

    def by_kind(values: Array) -> Array:
        grouped = values.reshape(kv_heads, heads // kv_heads + 2, width // heads, -1)
        parts = (grouped[:, :-2], grouped[:, -2], grouped[:, -1])
        return np.concatenate([part.reshape(-1, *values.shape[1:]) for part in parts])

    return {name: by_kind(v) if "query_key_value" in name else v for name, v in tensors.items()}


def _falcon_kv_heads(config: Config) -> int:
    if config["new_decoder_architecture"]:
        return int(config["num_kv_heads"])
    return 1 if config["multi_query"] else int(config["num_attention_heads"])


def _deepseek(config: Config, tensors: Tensors) -> Tensors:
    """``kv_b_proj`` in two: of keys, turned, and of values, a matrix for each head."""
    heads, key_dim = config["num_attention_heads"], config["qk_nope_head_dim"]
    out: Tensors = {}
    for name, values in tensors.items():
        if name.endswith("kv_b_proj.weight"):
            by_head = values.reshape(heads, -1, values.shape[1])
            of_keys, of_values = by_head[:, :key_dim], by_head[:, key_dim:]
            out[name.replace("kv_b_proj", "k_b_proj")] = of_keys.swapaxes(1, 2)
            out[name.replace("kv_b_proj", "v_b_proj")] = of_values
        else:
            out[name.replace("e_score_correction_bias", "e_score_correction.bias")] = values
    return out


def _gpt_oss(config: Config, tensors: Tensors) -> Tensors:
    """Gate and up, whose columns take turns, apart; matrices from [in, out] to [out, in]."""
    out: Tensors = {}
    for name, values in tensors.items():
        if name.endswith("sinks"):
            out[f"{name}.weight"] = values
            continue
        found = re.fullmatch(r"(.+experts\.)(gate_up|down)_proj(_bias)?", name)
        if found is None:
            out[name] = values
            continue
        suffix = "bias" if found[3] else "weight"
        rows = values if found[3] else values.swapaxes(1, 2)  # [E, N] or [E, N, K]
        if found[2] == "down":
            out[f"{found[1]}down_proj.{suffix}"] = rows
        else:
            out[f"{found[1]}gate_proj.{suffix}"] = rows[:, ::2]
            out[f"{found[1]}up_proj.{suffix}"] = rows[:, 1::2]
    return out


_REARRANGED: Mapping[str, Callable[[Config, Tensors], Tensors]] = {
    "granitemoe": _granite_moe,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "falcon": _falcon,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "gpt_oss": _gpt_oss,
}


def _rope_tensors(config: Config) -> Iterator[tuple[str, Array]]:
    """What a GGUF states of rotations by tensors: a divisor for the frequency of each pair."""
    rope = config.get("rope_parameters") or {}
    match rope.get("rope_type"):
        case "llama3":
            yield "rope_freqs.weight", _llama3_factors(config, rope)
        case "longrope":
            for length in ("long", "short"):
                factors = np.array(rope[f"{length}_factor"], np.float32)
                yield f"rope_factors_{length}.weight", factors


def _llama3_factors(config: Config, rope: Config) -> Array:
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or config["hidden_size"] // heads
    low, high, factor = (rope[key] for key in ("low_freq_factor", "high_freq_factor", "factor"))
    original = rope["original_max_position_embeddings"]

    def divisor(pair: int) -> float:
        turns = original * rope["rope_theta"] ** (-2 * pair / dim) / (2 * math.pi)
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        return float(1 / ((1 - smooth) / factor + smooth))

    return np.array([divisor(pair) for pair in range(dim // 2)], np.float32)

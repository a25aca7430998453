"""Independent float32 decoders: transformers' own models on the dequantised weights of a GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from huggingface_files import MODULES, TOP, halves_from_adjacent

CLASSES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}


def load(path: Path, rope: Mapping[str, object] | None = None) -> PreTrainedModel:
    """The model with every weight in float32; nothing of InferFlux is used on the way.

    ``rope`` is how the model scales its frequencies, in transformers' own words: a GGUF keeps only
    what came out of it.
    """
    reader = GGUFReader(path)
    make_config, make_model = CLASSES[reader.get_field("general.architecture").contents()]
    config = make_config(**read_shape(reader, rope or {"rope_type": "default"}))
    model = make_model(config).to(torch.float32).eval()
    missing, unexpected = model.load_state_dict(read_weights(reader, config), strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= ({"lm_head.weight"} if config.tie_word_embeddings else set()), missing
    model.tie_weights()
    return model


def log_probs(model: PreTrainedModel, ids: np.ndarray) -> np.ndarray:
    """Teacher-forced log-probabilities of the next token after every position.  (T,) -> (T, V)"""
    with torch.inference_mode():
        logits = model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0]
        return torch.log_softmax(logits.double(), dim=-1).float().numpy()


def tokenize(path: Path, text: str) -> list[int]:
    """The ids of ``text`` in SmolLM's tokenizer, built here from the file once more."""
    reader = GGUFReader(path)
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    merges = reader.get_field("tokenizer.ggml.merges").contents()
    vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
    bpe = Tokenizer(BPE(vocabulary, [tuple(merge.split(" ")) for merge in merges]))
    bpe.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    return bpe.encode(text).ids


def read_shape(reader: GGUFReader, rope: Mapping[str, object]) -> dict[str, Any]:
    architecture = reader.get_field("general.architecture").contents()

    def field(name: str) -> Any:
        return reader.get_field(f"{architecture}.{name}").contents()

    return {
        "vocab_size": field("vocab_size"),
        "hidden_size": field("embedding_length"),
        "intermediate_size": field("feed_forward_length"),
        "num_hidden_layers": field("block_count"),
        "num_attention_heads": field("attention.head_count"),
        "num_key_value_heads": field("attention.head_count_kv"),
        "head_dim": field("rope.dimension_count"),
        "max_position_embeddings": field("context_length"),
        "rms_norm_eps": field("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": field("rope.freq_base"), **rope},
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in reader.tensors),
        "attn_implementation": "eager",
    }


def read_weights(reader: GGUFReader, config: PreTrainedConfig) -> dict[str, torch.Tensor]:
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)  # (N, K) f32
        kind = tensor.name.split(".")[-2]
        if kind == "rope_freqs":  # no weight: what the configuration says, computed
            continue
        if kind in heads and isinstance(config, LlamaConfig):
            values = halves_from_adjacent(values, heads[kind])
        weights[spell(tensor.name)] = torch.from_numpy(np.array(values, np.float32))
    return weights


def spell(name: str) -> str:
    """``blk.3.attn_q.weight`` as transformers spells it."""
    match name.split("."):
        case ["blk", layer, kind, suffix]:
            return f"model.layers.{layer}.{MODULES[kind]}.{suffix}"
        case [kind, suffix]:
            return f"{TOP[kind]}.{suffix}"
        case _:
            raise ValueError(f"{name} is no tensor of a decoder")

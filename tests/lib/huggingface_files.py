"""Writes safetensors files and small directories as people publish them, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

CONTROL, USER_DEFINED = 3, 4  # GGUF's types of token
EPSILON = "attention.layer_norm_rms_epsilon"

Array = np.ndarray[Any, Any]
Stored = tuple[str, tuple[int, ...], bytes]  # kind, shape, content

KINDS = {
    np.dtype(np.float32): "F32",
    np.dtype(np.float16): "F16",
    np.dtype(np.float64): "F64",
    np.dtype(np.int8): "I8",
    np.dtype(np.uint8): "U8",
    np.dtype(np.int32): "I32",
    np.dtype(np.int64): "I64",
}


def store(values: Array, kind: str | None = None) -> Stored:
    """An array as a file holds it; float32 goes to ``BF16`` and bytes to ``F8_E4M3`` if asked."""
    if kind == "BF16":
        return kind, values.shape, to_bf16(values).tobytes()
    if kind == "F16":
        return kind, values.shape, values.astype("<f2").tobytes()
    return kind or KINDS[values.dtype], values.shape, np.ascontiguousarray(values).tobytes()


def to_bf16(values: Array) -> Array:
    """Float32 to the upper halves of the nearest, halves to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def entries(tensors: Mapping[str, Stored]) -> dict[str, Any]:
    """The header of ``pack``, as an object."""
    header: dict[str, Any] = {}
    at = 0
    for name, (kind, shape, content) in tensors.items():
        header[name] = {
            "dtype": kind,
            "shape": list(shape),
            "data_offsets": [at, at + len(content)],
        }
        at += len(content)
    return header


def pack(tensors: Mapping[str, Stored], header: object = None, tail: bytes = b"") -> bytes:
    """A file of ``tensors``; under another header, which may lie, or with more at its end."""
    text = header if isinstance(header, bytes) else json.dumps(header or entries(tensors)).encode()
    text += b" " * (-len(text) % 8)
    content = b"".join(content for _, _, content in tensors.values())
    return len(text).to_bytes(8, "little") + text + content + tail


MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


OPTIONS = ("kind", "shards", "config", "tensors")  # of write_directory


class Gguf:
    """What a GGUF holds, in the words of transformers; read with GGUF's own library."""

    def __init__(self, path: Path) -> None:
        self._reader = gguf.GGUFReader(path)
        self.architecture = self._field("general.architecture")

    def config(self) -> dict[str, Any]:
        own = {
            "vocab_size": len(self._field("tokenizer.ggml.tokens")),
            "hidden_size": self._own("embedding_length"),
            "intermediate_size": self._own("feed_forward_length"),
            "num_hidden_layers": self._own("block_count"),
            "num_attention_heads": self._own("attention.head_count"),
            "num_key_value_heads": self._own("attention.head_count_kv"),
            "head_dim": self._own("rope.dimension_count"),
            "max_position_embeddings": self._own("context_length"),
            "rms_norm_eps": float(str(np.float32(self._own(EPSILON)))),
            "rope_theta": self._own("rope.freq_base"),
            "tie_word_embeddings": all(
                each.name != "output.weight" for each in self._reader.tensors
            ),
        }
        return {
            "architectures": [CLASSES[self.architecture]],
            "model_type": self.architecture,
            "torch_dtype": "bfloat16",
            "hidden_act": "silu",
            "transformers_version": "4.44.0",
            **own,
        }

    def weights(self) -> Iterator[tuple[str, Array]]:
        """Float32, under transformers' names, rows of a head in transformers' order."""
        heads = {
            "attn_q": self._own("attention.head_count"),
            "attn_k": self._own("attention.head_count_kv"),
        }
        for tensor in self._reader.tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            *at, module, suffix = tensor.name.split(".")
            if module in heads and self.architecture == "llama":
                values = halves_from_adjacent(values, heads[module])
            layer = f"model.layers.{at[1]}.{MODULES[module]}" if at else TOP[module]
            yield f"{layer}.{suffix}", values

    def tokenizer(self) -> dict[str, Any]:
        """tokenizer.json of a byte-level BPE that cuts text as SmolLM's does."""
        tokens = self._field("tokenizer.ggml.tokens")
        types = self._field("tokenizer.ggml.token_type")
        added = [
            {"id": number, "content": token, "special": kind == CONTROL, "normalized": False}
            for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
            if kind in (CONTROL, USER_DEFINED)
        ]
        flags = {"single_word": False, "lstrip": False, "rstrip": False}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        digits = {"type": "Digits", "individual_digits": True}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [entry | flags for entry in added],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [digits, byte_level | {"use_regex": True}],
            },
            "post_processor": None,
            "decoder": byte_level | {"use_regex": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: number for number, token in enumerate(tokens)},
                "merges": [merge.split(" ") for merge in self._field("tokenizer.ggml.merges")],
            },
        }

    def tokenizer_config(self) -> dict[str, Any]:
        tokens = self._field("tokenizer.ggml.tokens")

        def token(name: str) -> str:
            return str(tokens[self._field(f"tokenizer.ggml.{name}_token_id")])

        return {
            "add_prefix_space": False,
            "bos_token": token("bos"),
            "eos_token": token("eos"),
            "pad_token": token("padding"),
            "unk_token": token("unknown"),
            "chat_template": self._field("tokenizer.chat_template"),
            "tokenizer_class": "GPT2Tokenizer",
        }

    def eos_token_id(self) -> int:
        return int(self._field("tokenizer.ggml.eos_token_id"))

    def _own(self, name: str) -> Any:
        return self._field(f"{self.architecture}.{name}")

    def _field(self, name: str) -> Any:
        return self._reader.get_field(name).contents()


def halves_from_adjacent(weight: Array, num_heads: int) -> Array:
    """Rows of a head from RoPE pairs (0, 1), (2, 3), ... (GGUF) to (0, d/2), (1, d/2 + 1), ..."""
    paired = weight.reshape(num_heads, -1, 2, weight.shape[1])  # (H, D_h / 2, 2, K)
    return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(weight.shape)


def write_directory(
    folder: Path,
    model: Gguf,
    *,
    kind: str = "BF16",
    shards: int = 1,
    config: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Stored | None] | None = None,
) -> Path:
    """A GGUF's model as people publish it; ``config`` and ``tensors`` override, None takes out."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: store(values, kind) for name, values in model.weights()}
    write_weights(folder, _without_none(stored | dict(tensors or {})), shards)
    write_texts(folder, model, config)
    return folder


def write_texts(folder: Path, model: Gguf, config: Mapping[str, Any] | None = None) -> None:
    """All but the weights."""
    _write_json(folder / "config.json", _without_none(model.config() | dict(config or {})))
    _write_json(folder / "generation_config.json", {"eos_token_id": model.eos_token_id()})
    write_tokenizer(folder, model)


def write_tokenizer(folder: Path, model: Gguf) -> None:
    _write_json(folder / "tokenizer.json", model.tokenizer())
    _write_json(folder / "tokenizer_config.json", model.tokenizer_config())


def write_bf16_gguf(path: Path, model: Path) -> Path:
    """A GGUF of the same model, of the values that ``write_directory`` rounds it to."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(path, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if not field.name.startswith(("GGUF.", "general.architecture")):
            kinds = [*field.types, None]
            writer.add_key_value(field.name, field.contents(), kinds[0], kinds[1])
    for tensor in reader.tensors:
        values = to_bf16(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        if values.ndim == 1:
            writer.add_tensor(tensor.name, (values.astype("<u4") << 16).view(np.float32))
        else:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(tensor.name, values.view(np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def write_weights(folder: Path, stored: Mapping[str, Stored], shards: int = 1) -> None:
    """In one file, or in several and an index."""
    if shards == 1:
        (folder / "model.safetensors").write_bytes(pack(stored))
        return
    placement = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(stored.items())[shard::shards])
        (folder / file).write_bytes(pack(part))
        placement |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 0}, "weight_map": placement}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}

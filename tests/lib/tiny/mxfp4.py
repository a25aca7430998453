"""A tiny gpt-oss as its authors publish it, with experts in MXFP4; and the same in a GGUF."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

import gguf_files
import huggingface_files
from tiny.files import write_tokenizer
from tiny.gguf_form import gguf_tensors
from tiny.gguf_keys import gguf_keys
from tiny.random_weights import random_weights

Array = np.ndarray
_KIND = gguf.GGMLQuantizationType.MXFP4
_EXPERTS = re.compile(r".+\.experts\.(gate_up|down)_proj")
_QUANTISATION = {
    "quant_method": "mxfp4",
    "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"],
}


@dataclass(frozen=True, slots=True)
class Mxfp4Model:
    """``weights`` are those of transformers; values of experts are such as MXFP4 holds."""

    config: Mapping[str, Any]
    weights: Mapping[str, Array]

    @classmethod
    def of(cls, config: str, shapes: Mapping[str, list[int]]) -> Mxfp4Model:
        weights = random_weights("gpt_oss", shapes)
        held = {name: _held(each) if _EXPERTS.fullmatch(name) else each for name, each in weights}
        return cls(json.loads(config), held)

    def write_directory(self, folder: Path) -> Path:
        folder.mkdir()
        config = {**self.config, "quantization_config": _QUANTISATION}
        (folder / "config.json").write_text(json.dumps(config))
        stored: dict[str, huggingface_files.Stored] = {}
        for name, values in self.weights.items():
            parts = _published(name, values) if _EXPERTS.fullmatch(name) else [(name, values)]
            stored |= {part: huggingface_files.store(numbers) for part, numbers in parts}
        huggingface_files.write_weights(folder, stored)
        write_tokenizer(folder)
        return folder

    def write_gguf(self, path: Path) -> Path:
        own = {f"gpt-oss.{key}": value for key, value in gguf_keys(self.config).items()}
        metadata = {"general.name": "tiny", **own, **gguf_files.tokenizer()}
        tensors = {
            name: (_blocks(values), _KIND)
            if "_exps.weight" in name
            else (values, gguf.GGMLQuantizationType.F32)
            for name, values in gguf_tensors(self.config, self.weights)
        }
        return gguf_files.write_gguf(path, "gpt-oss", metadata, tensors)


def _held(values: Array) -> Array:
    """[E, in, out], rounded along ``in``."""
    rounded = gguf.quants.dequantize(_blocks(values.swapaxes(1, 2)), _KIND)
    return np.ascontiguousarray(rounded.swapaxes(1, 2))


def _blocks(rows: Array) -> Array:
    return np.asarray(gguf.quants.quantize(np.ascontiguousarray(rows), _KIND))


def _published(name: str, values: Array) -> Iterator[tuple[str, Array]]:
    """Two columns that are neighbours share a byte; a GGUF's are 16 columns apart."""
    rows = values.swapaxes(1, 2)  # [E, N, K]
    blocks = _blocks(rows).reshape(*rows.shape[:2], -1, 17)
    codes = np.concatenate([blocks[..., 1:] & 15, blocks[..., 1:] >> 4], axis=-1)
    yield f"{name}_blocks", codes[..., ::2] | codes[..., 1::2] << 4
    yield f"{name}_scales", blocks[..., 0]

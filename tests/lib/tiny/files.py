"""Both forms of a tiny model on disk, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

import gguf_files
import huggingface_files
from tiny.gguf_form import ARCHITECTURES, gguf_tensors
from tiny.gguf_keys import gguf_keys
from tiny.random_weights import random_weights

Array = np.ndarray
Config = Mapping[str, Any]
Shapes = Mapping[str, Sequence[int]]


def write_directory(folder: Path, config: str, shapes: Shapes) -> Path:
    """What ``published.write_published`` wrote, from its text and the names of its tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config)
    weights = random_weights(json.loads(config)["model_type"], shapes)
    stored = {name: huggingface_files.store(values) for name, values in weights}
    huggingface_files.write_weights(folder, stored)
    write_tokenizer(folder)
    return folder


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Of the tensors of a safetensors file, by name."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def write_tokenizer(folder: Path) -> None:
    """The suite's own byte-level one, whatever the architecture is published with."""
    vocabulary = folder / "vocabulary.gguf"
    gguf_files.write_gguf(vocabulary, "llama", gguf_files.tokenizer(), {})
    huggingface_files.write_tokenizer(folder, huggingface_files.Gguf(vocabulary))
    vocabulary.unlink()


def write_gguf(path: Path, config: Config, shapes: Shapes) -> Path:
    """The same model as llama.cpp's converter would write it, in float32."""
    architecture = gguf.MODEL_ARCH_NAMES[ARCHITECTURES[config["model_type"]]]
    own = {f"{architecture}.{key}": value for key, value in gguf_keys(config).items()}
    weights = dict(random_weights(config["model_type"], shapes))
    kind = gguf.GGMLQuantizationType.F32
    tensors = {name: (values, kind) for name, values in gguf_tensors(config, weights)}
    metadata = {"general.name": "tiny", **own, **gguf_files.tokenizer()}
    return gguf_files.write_gguf(path, architecture, metadata, tensors)

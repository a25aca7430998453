"""Directories that transformers itself writes, and the logits that it computes; imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel

from tiny.entries import SHARED, Entry
from tiny.files import shapes
from tiny.random_weights import random_weights

Array = np.ndarray

torch.set_num_threads(1)  # so small a model is only held up by more


def write_published(entry: Entry, folder: Path) -> PreTrainedModel:
    """Written twice: for the names that its files have, then with numbers that follow from them."""
    model = AutoModelForCausalLM.from_config(_config(entry))
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file(
        dict(random_weights(entry.model_type, shapes(path))),
        path,
        metadata={"format": "pt"},
    )
    # The eager attention of Falcon adds ALiBi twice: once by its mask, once more by itself.
    attention = "sdpa" if entry.model_type == "falcon" else "eager"
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    ).eval()
    model.save_pretrained(folder)
    return model


def logits(model: PreTrainedModel, entry: Entry, tokens: Array) -> Array:
    """(T,) -> (T, V)"""
    return _advance(model, entry, tokens, DynamicCache(config=model.config))


def greedy(model: PreTrainedModel, entry: Entry, tokens: Array, count: int) -> list[int]:
    """The ``count`` tokens that follow."""
    cache = DynamicCache(config=model.config)
    found: list[int] = []
    for _ in range(count):
        found.append(int(_advance(model, entry, tokens, cache)[-1].argmax()))
        tokens = np.array(found[-1:])
    return found


def _advance(model: PreTrainedModel, entry: Entry, tokens: Array, cache: DynamicCache) -> Array:
    """At once, or a token at a time."""
    parts = np.split(tokens, len(tokens)) if entry.is_rotated_by_length else [tokens]
    with torch.inference_mode():
        rows = [
            model(torch.from_numpy(part.astype(np.int64))[None], past_key_values=cache).logits[0]
            for part in parts
        ]
    return np.concatenate([row.numpy() for row in rows])


def _config(entry: Entry) -> Any:
    fields = {**SHARED, **entry.fields}
    known = {key: value for key, value in fields.items() if value is not None or key not in SHARED}
    return AutoConfig.for_model(entry.model_type, **known)

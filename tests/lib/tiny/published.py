"""Directories that transformers itself writes, and the logits that it computes; imports torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tiny.entries import SHARED, Entry
from tiny.random_weights import random_weight

Array = np.ndarray


def write_published(entry: Entry, folder: Path) -> PreTrainedModel:
    """Written twice: for the names that its files have, then with numbers that follow from them."""
    model = AutoModelForCausalLM.from_config(_config(entry))
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file(
        {name: random_weight(name, shape) for name, shape in shapes(path).items()},
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


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(path, "np") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def logits(model: PreTrainedModel, entry: Entry, tokens: Array) -> Array:
    """(T,) -> (T, V)"""
    ids = torch.from_numpy(tokens.astype(np.int64))[None]
    with torch.inference_mode():
        if entry.is_rotated_by_length:
            return _one_by_one(model, ids)
        return model(ids).logits[0].numpy()


def _one_by_one(model: PreTrainedModel, ids: Any) -> Array:
    cache, rows = None, []
    for index in range(ids.shape[1]):
        out = model(ids[:, index : index + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        rows.append(out.logits[0, 0].numpy())
    return np.stack(rows)


def _config(entry: Entry) -> Any:
    fields = {**SHARED, **entry.fields}
    known = {key: value for key, value in fields.items() if value is not None or key not in SHARED}
    return AutoConfig.for_model(entry.model_type, **known)


def stored_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())

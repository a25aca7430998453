"""Gemma 3 as it is published, with a tower that sees: its text is the text-only model's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import huggingface_files
from inferflux.ir import frontend
from inferflux.ir.frontend import UnsupportedModel
from tiny import files, stored
from tiny.random_weights import random_weights

VISION = {"hidden_size": 16, "model_type": "siglip_vision_model", "num_hidden_layers": 1}


def write(folder: Path, **config: object) -> Path:
    """The kept text-only model, its names and its config put into those of the whole."""
    kept = stored.load("gemma3-linear")
    own = {key: value for key, value in json.loads(kept.config).items() if key != "architectures"}
    whole = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "eos_token_id": [1, 106],
        "mm_tokens_per_image": 256,
        "text_config": own,
        "vision_config": VISION,
        **config,
    }
    weights = random_weights("gemma3_text", kept.shapes)
    tensors = {f"language_model.{name}": huggingface_files.store(each) for name, each in weights}
    one = huggingface_files.store(np.ones(2, np.float32))
    tensors |= {f"{part}.x.weight": one for part in ("vision_tower", "multi_modal_projector")}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(whole))
    huggingface_files.write_weights(folder, tensors)
    files.write_tokenizer(folder)
    return folder


def test_its_text_is_the_text_only_model(tmp_path: Path) -> None:
    kept = stored.load("gemma3-linear")
    plain = frontend.open(files.write_directory(tmp_path / "plain", kept.config, kept.shapes))
    whole = frontend.open(write(tmp_path / "whole"))
    assert str(frontend.build(whole)) == str(frontend.build(plain))
    assert whole.tensors.keys() == plain.tensors.keys()
    for name, tensor in plain.tensors.items():
        np.testing.assert_array_equal(whole.tensors[name].raw, tensor.raw)


def test_another_key_of_the_whole_is_refused(tmp_path: Path) -> None:
    source = frontend.open(write(tmp_path / "whole", audio_config={"hidden_size": 16}))
    with pytest.raises(UnsupportedModel, match=r"'audio_config\.hidden_size'"):
        frontend.config(source)

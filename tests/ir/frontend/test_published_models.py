"""Published config.json files, all their keys kept, their sizes shrunk: none is refused wrongly.

What their words mean is in test_published_configs.py; here nothing beside them is in the way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import huggingface_files
from inferflux.ir import frontend
from inferflux.ir.frontend import UnsupportedModel
from inferflux.ir.frontend.architectures.table import PUBLISHED
from tiny import files

MODELS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("published.json").read_text()
)
REFUSED = {  # by the key with which they ask for what is not built
    "Phi-3-small-8k-instruct": "model_type",
    "Qwen2.5-7B-Instruct-1M": "dual_chunk_attention_config.chunk_size",
    "Qwen3-Next-80B-A3B-Instruct": "model_type",
    "gpt-j-6b": "model_type",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of some tensors, whatever they are: only its config is read."""
    path = tmp_path_factory.mktemp("published")
    one = huggingface_files.store(np.ones(2, np.float32))
    huggingface_files.write_weights(path, {f"t{number}": one for number in range(4)})
    files.write_tokenizer(path)
    return path


@pytest.mark.parametrize("name", sorted(MODELS.keys() - REFUSED.keys()))
def test_what_its_authors_published_is_read(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps(MODELS[name]))
    config = frontend.config(frontend.open(folder))
    assert (config.hidden_size, config.num_layers, config.vocab_size) == (64, 4, 320)


@pytest.mark.parametrize(("name", "key"), REFUSED.items())
def test_what_is_not_built_is_refused_by_its_key(folder: Path, name: str, key: str) -> None:
    (folder / "config.json").write_text(json.dumps(MODELS[name]))
    with pytest.raises(UnsupportedModel) as refused:
        frontend.config(frontend.open(folder))
    assert refused.value.field == f"key {key!r}"


def test_every_model_type_is_published_here() -> None:
    published = {each["model_type"] for each in MODELS.values()}
    assert published >= PUBLISHED.keys()

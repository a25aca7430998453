"""A model in parts is known by the digests of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.cli.model_files import model_digest, model_files
from inferflux.ir import frontend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("m-00001-of-00002", "m-00002-of-00002", "m-00002-of-00003", "n-00001-of-00002"):
        (tmp_path / f"{name}.gguf").write_bytes(name.encode())
    return tmp_path


def test_the_files_of_a_part_are_all_parts(folder: Path) -> None:
    parts = [folder / "m-00001-of-00002.gguf", folder / "m-00002-of-00002.gguf"]
    assert model_files(parts[0]) == model_files(parts[1]) == parts


def test_any_other_file_is_a_model_alone(folder: Path) -> None:
    for name in ("m.gguf", "m-1-of-2.gguf"):
        assert model_files(folder / name) == [folder / name]


@pytest.mark.parametrize("tensors_per_file", [0, 6])
def test_the_digest_is_the_one_that_the_source_has(tiny_gguf, tmp_path, tensors_per_file) -> None:
    path = tiny_gguf(tensors_per_file=tensors_per_file)
    assert model_digest(path, tmp_path) == frontend.open(path).digest()


def test_a_directory_is_all_the_files_that_are_read_from_it(tiny_directory, tmp_path):
    folder = tiny_directory(shards=2)
    (folder / "README.md").write_text("not read")
    assert {path.name for path in model_files(folder)} == {
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    first = model_digest(folder, tmp_path)
    assert first == frontend.open(folder).digest()
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert model_digest(folder, tmp_path) == frontend.open(folder).digest() != first

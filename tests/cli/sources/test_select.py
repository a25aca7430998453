"""Which files of a place are a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.cli.sources.select import (
    require_file_name,
    require_model_file,
    select,
    split_parts,
)
from inferflux.cli.sources.source import PullFailed

SPLIT = ("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf")


def test_the_only_gguf_is_the_model():
    assert select(["README.md", "m.gguf", "run.py"], None, "here") == ("m.gguf",)


def test_of_several_none_is_guessed_and_all_are_listed():
    with pytest.raises(PullFailed, match=r"here has 2 GGUF models; name one of them: a.gguf, q/b"):
        select(["q/b.gguf", "a.gguf"], None, "here")
    assert select(["q/b.gguf", "a.gguf"], "q/b.gguf", "here") == ("q/b.gguf",)
    with pytest.raises(PullFailed, match=r"no GGUF model 'c.gguf'; it has: a.gguf, q/b.gguf"):
        select(["q/b.gguf", "a.gguf"], "c.gguf", "here")


@pytest.mark.parametrize("wanted", [None, *SPLIT])
def test_a_split_gguf_is_one_model_of_all_its_parts(wanted: str | None):
    assert select(reversed(SPLIT), wanted, "here") == SPLIT


def test_a_split_gguf_without_a_part_is_refused():
    with pytest.raises(PullFailed, match=r"m-00002-of-00003.gguf is not there"):
        select(SPLIT[::2], None, "here")


@pytest.mark.parametrize("parts", ["00000", "99999"])
def test_a_number_of_parts_that_no_model_has_is_refused(parts: str):
    with pytest.raises(PullFailed, match="a model has 1 to 1000"):
        split_parts(f"m-00001-of-{parts}.gguf")


def test_safetensors_come_with_what_reads_them_and_never_with_code_or_pickles():
    taken = (
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "chat_template.jinja",
        "generation_config.json",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    )
    left = (
        "pytorch_model.bin",
        "model.pt",
        "modeling_x.py",
        "chat_template.py",
        "consolidated.safetensors",  # the same weights again
        "original/consolidated.00.pth",
        "onnx/model.onnx",
        "sub/model.safetensors",
        "tokenizer.model",
        "README.md",
    )
    assert select([*left, *taken], None, "here") == taken


def test_an_older_tokenizer_is_taken_where_there_is_no_newer_one():
    names = ["config.json", "model.safetensors", "merges.txt", "tokenizer.model", "vocab.json"]
    assert select(names, None, "here") == tuple(names)


@pytest.mark.parametrize(
    "names", [[], ["model.safetensors"], ["config.json"], ["config.json", "pytorch_model.bin"]]
)
def test_a_place_without_a_model_is_refused(names: list[str]):
    with pytest.raises(PullFailed, match="here has no model: neither"):
        select(names, None, "here")


@pytest.mark.parametrize("name", ["..", "a/..", ".git", "a/\x1b[2J.gguf", "", "n" * 201])
def test_a_name_that_is_no_plain_name_is_refused(name: str):
    with pytest.raises(PullFailed, match="is no name for a file of a model"):
        require_file_name(name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.gguf", b"GGUF\x03"),
        ("m.safetensors", (2).to_bytes(8, "little") + b"{}"),
        ("config.json", b"anything"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(tmp_path: Path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    require_model_file(path)
    path.write_bytes(b"\x80\x04\x95pickle")
    if name != "config.json":
        with pytest.raises(PullFailed, match=rf"{name} is no \w+ file: it begins with"):
            require_model_file(path)

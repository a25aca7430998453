"""Files and folders of this machine: linked where that works, copied where not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferflux.cli import store
from inferflux.cli.sources.source import PullFailed


@pytest.fixture
def pull(cache):
    return lambda source: store.pull(str(source), lambda *_: None)


def test_a_file_is_linked_and_outlives_its_own_name(tiny_gguf, pull):
    source = tiny_gguf(name="Tiny Model.gguf")
    model = pull(source)
    assert (model.name, model.source) == ("tiny-model", str(source))
    assert model.path.samefile(source)
    content = source.read_bytes()
    source.unlink()
    assert model.path.read_bytes() == content


def test_where_no_link_can_be_made_the_file_is_copied(tiny_gguf, pull, monkeypatch):
    def no_link(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    source = tiny_gguf()
    model = pull(source)
    assert model.path.read_bytes() == source.read_bytes()
    assert not model.path.samefile(source)


def test_a_folder_gives_its_model_files_alone(tmp_path: Path, pull):
    folder = tmp_path / "Own"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "modeling.py").write_text("import os")
    model = pull(folder)
    assert [file.name for file in model.files] == ["config.json", "model.safetensors"]
    assert model.path.is_dir()
    assert model.name == "own"


def test_a_path_that_is_not_there_is_named(tmp_path: Path, pull):
    with pytest.raises(PullFailed, match=r"m:1\.gguf: there is no such file"):
        pull(tmp_path / "m:1.gguf")

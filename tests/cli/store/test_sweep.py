"""What `rm` and `gc` take, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferflux.cli import store
from inferflux.cli.lock import exclusive
from inferflux.cli.model_files import model_digest
from inferflux.cli.sources.source import PullInterrupted
from inferflux.cli.store import UnknownModel, layout


@pytest.fixture
def pull(cache, loopback, hasty):
    def pull(name: str, content: bytes) -> store.StoredModel:
        url = loopback.on(f"/{name}.gguf", loopback.file(content))
        return store.pull(url, lambda *_: None, policy=hasty)

    return pull


def artifact_of(cache: Path, source: Path) -> Path:
    """What `compile` leaves in the cache: an artifact, and beside it the factors of its key."""
    digest = model_digest(source, cache / "digests")
    artifact = cache / "artifacts" / source.stem / "key.ifx"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(bytes(1000))
    artifact.with_suffix(".json").write_text(json.dumps({"source": digest}))
    return artifact


def test_a_removed_model_is_gone_with_its_bytes(pull, left_behind):
    pull("a", b"GGUF" + bytes(9996))
    freed = store.remove("a")
    assert 10_000 <= freed < 12_000
    assert store.models() == []
    assert left_behind() == []


def test_a_file_that_another_name_has_stays(pull):
    pull("a", b"GGUF same")
    other = pull("b", b"GGUF same")
    store.remove("a")
    assert store.models() == [other]
    assert other.path.read_bytes() == b"GGUF same"


@pytest.mark.parametrize("name", ["b", "smollm2-135m"])
def test_what_is_not_in_the_store_cannot_be_removed(pull, name: str):
    pull("a", b"GGUF")
    with pytest.raises(UnknownModel, match=f"no model '{name}' in the store; there are: a"):
        store.remove(name)


def test_nothing_that_is_in_use_is_swept(pull, cache):
    model = pull("a", b"GGUF")
    artifact = artifact_of(cache, model.path)
    assert store.sweep(dry_run=False) == []
    assert artifact.exists()


def test_what_an_update_left_is_swept(pull, loopback):
    pull("a", b"GGUF older")
    loopback.answers.clear()
    url = loopback.on("/a.gguf", loopback.file(b"GGUF newer", '"newer"'))
    model = store.pull(url, lambda *_: None)
    (swept,) = store.sweep(dry_run=False)
    assert (swept.nbytes, swept.why) == (len(b"GGUF older"), "a file of no model")
    assert model.path.read_bytes() == b"GGUF newer"


def test_a_pull_that_broke_off_is_swept_unless_it_goes_on_meanwhile(cache, loopback, hasty):
    url = loopback.on("/a.gguf", loopback.broken(b"GGUF" + bytes(96), 50), loopback.status(503))
    with pytest.raises(PullInterrupted):
        store.pull(url, lambda *_: None, policy=hasty)
    with exclusive(layout.lock_of(layout.staging(url)), lambda: None):
        assert store.sweep(dry_run=False) == []
    (swept,) = store.sweep(dry_run=False)
    assert swept.why == "a pull that was broken off"
    assert not swept.path.exists()


@pytest.mark.parametrize("way", ["removed", "changed"])
def test_an_artifact_whose_model_is_gone_is_swept(tiny_gguf, cache, way: str):
    source = tiny_gguf()
    artifact = artifact_of(cache, source)
    assert store.sweep(dry_run=False) == []
    if way == "removed":
        source.unlink()
    else:
        source.write_bytes(b"another")
    assert sum(item.nbytes for item in store.sweep(dry_run=False)) > 1000
    assert not artifact.exists()


def test_an_artifact_goes_with_the_blob_it_was_compiled_from(pull, cache):
    model = pull("a", b"GGUF")
    artifact = artifact_of(cache, model.path)
    store.remove("a")
    store.sweep(dry_run=False)
    assert not artifact.exists()


def test_an_artifact_of_a_model_in_parts_lives_as_long_as_all_of_them(cache, tmp_path):
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(b"GGUF" + part.name.encode())
    artifact = artifact_of(cache, parts[0])
    assert store.sweep(dry_run=False) == []
    parts[1].unlink()
    store.sweep(dry_run=False)
    assert not artifact.exists()


def test_a_dry_run_finds_the_same_and_removes_nothing(pull, cache):
    model = pull("a", b"GGUF")
    artifact = artifact_of(cache, model.path)
    (model.path.parent / ".model.json").unlink()
    before = sorted(cache.rglob("*"))
    found = store.sweep(dry_run=True)
    assert {item.why for item in found} == {
        "a file of no model",
        "a folder without a record",
        "compiled from a file that is gone",
        "the record of that",
    }
    assert sorted(cache.rglob("*")) == before
    assert store.sweep(dry_run=False) == found
    assert not artifact.exists()

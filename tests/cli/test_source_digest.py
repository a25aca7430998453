"""Digests of model files are computed once per state of the file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from inferflux.cli import source_digest as module
from inferflux.cli.source_digest import source_digest


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were really hashed."""
    names: list[str] = []
    real = hashlib.file_digest

    def spy(file: object, algorithm: str) -> object:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return real(file, algorithm)  # type: ignore[arg-type]

    monkeypatch.setattr(module.hashlib, "file_digest", spy)
    return names


def test_an_unchanged_file_is_hashed_once(tmp_path: Path, hashed: list[str]) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"weights")
    first = source_digest(model, tmp_path / "records")
    assert first == hashlib.sha256(b"weights").hexdigest()
    assert source_digest(model, tmp_path / "records") == first
    assert hashed == ["m.gguf"]


def test_a_file_of_equal_size_and_other_bytes_is_hashed_again(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"weights")
    os.utime(model, ns=(1, 1))
    source_digest(model, tmp_path / "records")
    model.write_bytes(b"WEIGHTS")
    os.utime(model, ns=(2, 2))
    found = source_digest(model, tmp_path / "records")
    assert found == hashlib.sha256(b"WEIGHTS").hexdigest()


def test_a_file_put_in_its_place_is_hashed_again(tmp_path: Path) -> None:
    model, other = tmp_path / "m.gguf", tmp_path / "other"
    for path, content in ((model, b"weights"), (other, b"WEIGHTS")):
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
    source_digest(model, tmp_path / "records")
    other.replace(model)  # same path, size and time
    found = source_digest(model, tmp_path / "records")
    assert found == hashlib.sha256(b"WEIGHTS").hexdigest()


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff", b'{"identity": 1}'])
def test_a_damaged_record_costs_a_hash_and_nothing_else(tmp_path: Path, damage: bytes) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"weights")
    source_digest(model, tmp_path / "records")
    (record,) = (tmp_path / "records").iterdir()
    record.write_bytes(damage)
    found = source_digest(model, tmp_path / "records")
    assert found == hashlib.sha256(b"weights").hexdigest()

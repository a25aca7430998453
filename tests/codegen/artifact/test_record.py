"""The record of what was verified spares work and never costs certainty."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inferflux.codegen.artifact import ArtifactError, load
from inferflux.codegen.artifact.sealed import SealedFile


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many times weights were verified."""
    calls = []
    verify = SealedFile.verify
    monkeypatch.setattr(SealedFile, "verify", lambda *of: (calls.append(of), verify(*of)))
    return lambda: len(calls)


def test_without_a_record_weights_are_verified_every_time(
    saved: Path, count: Callable[[], int]
) -> None:
    load(saved)
    load(saved)
    assert count() == 2


def test_weights_are_verified_once_per_file(
    saved: Path, tmp_path: Path, count: Callable[[], int]
) -> None:
    load(saved, tmp_path / "cache" / "verified")
    load(saved, tmp_path / "cache" / "verified")
    assert count() == 1


def test_a_file_that_was_touched_is_verified_again(
    saved: Path, tmp_path: Path, count: Callable[[], int]
) -> None:
    load(saved, tmp_path / "cache")
    status = saved.stat()
    damaged = bytearray(saved.read_bytes())
    damaged[-1] ^= 1
    saved.write_bytes(damaged)
    os.utime(saved, ns=(status.st_atime_ns, status.st_mtime_ns))  # a liar; ctime gives it away
    with pytest.raises(ArtifactError, match="chunk 0"):
        load(saved, tmp_path / "cache")
    assert count() == 2


def test_a_copy_is_verified_for_itself(
    saved: Path, tmp_path: Path, count: Callable[[], int]
) -> None:
    load(saved, tmp_path / "cache")
    copy = tmp_path / "copy.ifx"
    copy.write_bytes(saved.read_bytes())
    load(copy, tmp_path / "cache")
    assert count() == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_damaged_record_means_verifying_again(
    saved: Path, tmp_path: Path, count: Callable[[], int], content: bytes
) -> None:
    load(saved, tmp_path / "cache")
    (record,) = (tmp_path / "cache").iterdir()
    record.write_bytes(content)
    load(saved, tmp_path / "cache")
    load(saved, tmp_path / "cache")
    assert count() == 2, "and it is written anew"


def test_damaged_weights_are_not_recorded(saved: Path, tmp_path: Path) -> None:
    with saved.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    with pytest.raises(ArtifactError):
        load(saved, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_place_that_takes_no_record_is_no_obstacle(
    saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    load(saved, tmp_path / "cache")
    assert "digests the weights again" in caplog.text


def test_a_file_written_to_while_it_is_verified_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = SealedFile._verify_chunk

    def verify_and_touch(file: SealedFile, chunk: tuple[str, int]) -> None:
        verify(file, chunk)
        os.utime(saved, ns=(0, 0))

    monkeypatch.setattr(SealedFile, "_verify_chunk", verify_and_touch)
    with pytest.raises(ArtifactError, match="changed while it was read"):
        load(saved)

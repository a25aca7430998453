"""Readers with planted faults: what watches the reading of hostile files must see each of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from inferflux.ir.frontend import ModelFileError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(bytes(1000))
    return path


def test_a_reader_that_fails_by_another_error_is_found(refuse, file):
    with pytest.raises(IndexError):
        refuse(file, lambda path: [][0])


def test_a_reader_that_hangs_is_found(refuse, file):
    with pytest.raises(Exception, match=r"took more than 2\.0 s"):
        refuse(file, lambda path: all(number >= 0 for number in itertools.count()))


def test_a_reader_that_takes_memory_is_found(refuse, file):
    assert refuse(file, lambda path: bytearray(63 << 20)) is None
    with pytest.raises(AssertionError, match=r"model\.gguf took \d+ bytes"):
        refuse(file, lambda path: bytearray(65 << 20))


@pytest.mark.parametrize(
    "error",
    [
        ModelFileError(Path("another"), "header", 0, "is odd"),
        ModelFileError(Path("model.gguf"), "", 0, "is odd"),
        ModelFileError(Path("model.gguf"), "header", None, "is odd"),
    ],
    ids=("another file", "no field", "no offset"),
)
def test_a_refusal_that_does_not_say_where_is_found(refuse, file, error):
    def read(path: Path) -> None:
        if error.path.name == path.name:
            error.path = path
        raise error

    with pytest.raises(AssertionError):
        refuse(file, read)

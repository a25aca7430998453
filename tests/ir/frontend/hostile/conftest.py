"""Reading files that mean harm: what they may cost, and how they must be refused."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError

MAX_SECONDS = 2.0
SPARE_BYTES = 64 << 20  # besides 4 x what the files have
ABSENT = ("is missing", "does not exist")  # what is not there has no offset

Read = Callable[[Path], object]


class Hang(Exception):
    """Reading took longer than it may."""


def read_model(path: Path) -> None:
    """All of the front end: the source, its tokenizer, its graph, what tensors are made into."""
    source = frontend.open(path)
    frontend.tokenizer(source)
    frontend.build(source)
    for tensor in source.tensors.values():
        if tensor.convert is not None:
            assert tensor.raw.size == tensor.type.nbytes


def refusal_of(path: Path, read: Read, spare: int = SPARE_BYTES) -> ModelFileError | None:
    """How a model is refused, if it is; that it is refused well, quickly and cheaply either way."""
    tracemalloc.start()
    try:
        with _limited(MAX_SECONDS):
            read(path)
    except ModelFileError as error:
        _check_refusal(error, path)
        return error
    else:
        return None
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak <= spare + 4 * _size(path), f"reading {path} took {peak} bytes"


def _check_refusal(error: ModelFileError, path: Path) -> None:
    """It names the file, the field and, of what is there, the offset."""
    assert path in (error.path, error.path.parent) or error.path.parent == path.parent, error.path
    assert error.field
    assert error.offset is not None or any(words in str(error) for words in ABSENT), error


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Of the processor's time: what a busy machine does meanwhile is no hang."""

    def stop(*_: object) -> None:
        raise Hang(f"reading took more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _size(path: Path) -> int:
    """Of all files of a model."""
    folder = path if path.is_dir() else path.parent
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


@pytest.fixture
def refuse() -> Callable[..., ModelFileError | None]:
    """``refuse(path, read=read_model)``: see ``refusal_of``."""

    def refused(path: Path, read: Read = read_model, spare: int = SPARE_BYTES):
        return refusal_of(path, read, spare)

    return refused

"""ModelSource: an opened model file, its metadata read and its tensors mapped but not touched."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inferflux.errors import InferFluxError
from inferflux.ir.graph import Array
from inferflux.ir.types import DType, TensorType

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_CHUNK = 8 << 20  # bytes hashed at a time: what is being hashed stays in the cache
_LONGEST_TEXT = 300  # characters


class ModelFileError(InferFluxError):
    """A model file breaks its format, contradicts itself, or holds what a model may not hold.

    ``field`` names the place in the format's own words, ``offset`` is its first byte in the file
    (None: there is no such place, e.g. of a missing key).
    """

    code = "invalid_model_file"

    def __init__(self, path: Path, field: str, offset: int | None, problem: str) -> None:
        at = "" if offset is None else f" at byte {offset}"
        self.path = path
        self.field = _clip(field)
        self.offset = offset
        super().__init__(f"{path}: {self.field}{at}: {_clip(problem)}")


class UnsupportedModel(ModelFileError):
    """A well-formed model uses something that InferFlux does not implement; it is named."""

    code = "unsupported_model"


class UnsupportedArchitecture(UnsupportedModel):
    """The file names an architecture that is not in the table; nothing stands in for it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor stands, in its file's own words; of several parts, the main one."""

    path: Path
    name: str  # in the file, which may not be the graph's
    kind: str  # what the file holds: "Q4_1", "BF16", "GPTQ int4"
    offset: int  # of its bytes in the file
    entry_offset: int  # of its row in the file's table of tensors


@dataclass(frozen=True, slots=True, eq=False)
class ConvertedRows:
    """Some rows of a tensor that is given another type than it has in its file."""

    raw: Bytes  # (nbytes,), of the new type
    values: Array  # (rows, K) float32, as the file means them


@dataclass(frozen=True, slots=True, eq=False)
class SourceTensor:
    """One tensor of a model, as the graph takes it.  ``shape`` is row-major, outermost first.

    Where the file holds another form of it, ``read`` makes these bytes, anew every time; where
    they may stand for other values than the file's, ``convert`` tells both, some rows at a time.
    """

    name: str
    dtype: DType  # of what ``read`` gives
    shape: tuple[int, ...]
    read: Callable[[], Bytes] = field(repr=False)
    origin: Origin
    convert: Callable[[], Iterator[ConvertedRows]] | None = field(default=None, repr=False)

    @property
    def raw(self) -> Bytes:
        """``(nbytes,)``: a read-only view of the mapped file, or made from it just now."""
        return self.read()

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """A file that a model was read from, and the bytes that were read."""

    name: str
    mapped: Bytes = field(repr=False)

    def digest(self) -> str:
        """Hex sha256."""
        total = hashlib.sha256()
        for start in range(0, self.mapped.size, _CHUNK):
            total.update(self.mapped[start : start + _CHUNK].data)
            self.release()
        return total.hexdigest()

    def release(self) -> None:
        """Give back the memory of what was read, which is mapped again where it is read again."""
        match self.mapped.base:
            case memoryview(obj=mmap.mmap() as file):
                file.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, slots=True, eq=False)
class ModelSource:
    """An opened model: what it says of itself, and its tensors.

    Metadata values are ``bool``, ``int``, ``float``, ``str``, a tuple of ``str`` or of tuples, or a
    read-only NumPy array of numbers.
    """

    path: Path
    architecture: str
    metadata: Mapping[str, object] = field(repr=False)
    tensors: Mapping[str, SourceTensor] = field(repr=False)
    files: tuple[SourceFile, ...]
    offsets: Mapping[str, int] = field(repr=False)  # metadata key -> its value's place in the file
    quantised_to: str = field(default="", kw_only=True)  # what its matrices become; else empty

    def name_in_file(self, name: str) -> str:
        """What the files call the tensor that is ``name`` to the graph."""
        return name

    def release(self) -> None:
        """Give back the memory of what was read of the files: it is a copy of what is on disk."""
        for file in self.files:
            file.release()

    def digest(self) -> str:
        """Of the very bytes that are mapped: a file swapped since is not it."""
        return digest_of_files({file.name: file.digest() for file in self.files})


def digest_of_files(digests: Mapping[str, str]) -> str:
    """One digest of a model: that of its file, or of the list that ``sha256sum`` makes of several.

    ``digests`` is sha256 by file name; the list is sorted by name.
    """
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = (f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _clip(text: str) -> str:
    """What a file says of itself may be long: an error is one line, not a page of a log."""
    return (
        text
        if len(text) <= _LONGEST_TEXT
        else f"{text[:_LONGEST_TEXT]}... ({len(text)} characters)"
    )

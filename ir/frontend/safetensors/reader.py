"""Open a safetensors file: read its header, check that its tensors tile the rest, map them.

Format: u64 length of the header, the header (a JSON object: name to type, shape and place), data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from inferflux.ir.frontend.json_text import read_object
from inferflux.ir.frontend.limits import (
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    MAX_STORED_NAME_BYTES,
    MAX_STORED_RANK,
    MAX_STORED_TENSORS,
)
from inferflux.ir.frontend.mapping import map_file
from inferflux.ir.frontend.safetensors.errors import SafetensorsError
from inferflux.ir.frontend.safetensors.kinds import BITS
from inferflux.ir.frontend.source import Bytes

_PREFIX = 8  # bytes of the header's length
_KEYS = {"dtype", "shape", "data_offsets"}
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor as its file holds it, row-major."""

    path: Path
    name: str
    kind: str  # a key of BITS
    shape: tuple[int, ...]
    raw: Bytes = field(repr=False)  # a read-only view of the mapped file
    offset: int  # of ``raw`` in the file
    entry_offset: int  # of its entry in the header


@dataclass(frozen=True, slots=True, eq=False)
class SafetensorsFile:
    """The tensors of one file by name, and all of its bytes."""

    path: Path
    tensors: Mapping[str, StoredTensor] = field(repr=False)
    mapped: Bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row of the header; ``start`` and ``end`` count from the data."""

    name: str
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int
    at: int  # of the row in the file


def open_file(path: Path) -> SafetensorsFile:
    """Read the header.  No byte of a tensor is read.

    Raises SafetensorsError or ModelFileError where the file cannot be trusted: the header too long
    or no JSON, a tensor whose type, shape and place disagree, a byte that no tensor or more than
    one has.
    """
    mapped = map_file(path, SafetensorsError)
    length = _header_length(path, mapped[:_PREFIX], len(mapped))
    header = read_object(path, mapped[_PREFIX : _PREFIX + length], "header", _PREFIX)
    if len(header.values) > MAX_STORED_TENSORS:
        problem = f"has {len(header.values)} entries, at most {MAX_STORED_TENSORS} allowed"
        raise SafetensorsError(path, "header", _PREFIX, problem)
    _check_metadata(path, header.values.get(_METADATA, {}), header.places.get(_METADATA, _PREFIX))
    entries = [
        _Reader(path, name, header.places[name]).entry(value)
        for name, value in header.values.items()
        if name != _METADATA
    ]
    start = _PREFIX + length
    _check_tiling(path, entries, len(mapped) - start)
    whole = np.frombuffer(mapped, np.uint8)
    tensors = {entry.name: _tensor(path, entry, start, whole) for entry in entries}
    return SafetensorsFile(path, MappingProxyType(tensors), whole)


def _header_length(path: Path, prefix: bytes, size: int) -> int:
    if len(prefix) < _PREFIX:
        problem = f"needs {_PREFIX} bytes and the file has {size}; get it again"
        raise SafetensorsError(path, "header length", 0, problem)
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER_BYTES:
        problem = f"is {length}, at most {MAX_HEADER_BYTES} allowed"
        raise SafetensorsError(path, "header length", 0, problem)
    if length > size - _PREFIX:
        problem = (
            f"is {length} and the file has {size - _PREFIX} bytes left; "
            "it is cut short or damaged: get it again"
        )
        raise SafetensorsError(path, "header length", 0, problem)
    return length


def _check_metadata(path: Path, value: object, at: int) -> None:
    texts = value.values() if isinstance(value, dict) else (None,)
    if not all(isinstance(text, str) for text in texts):
        raise SafetensorsError(path, _METADATA, at, "is not an object of strings")


class _Reader:
    """Checks one entry of the header by itself."""

    __slots__ = ("_at", "_name", "_path")

    def __init__(self, path: Path, name: str, at: int) -> None:
        self._path, self._name, self._at = path, name, at

    def entry(self, value: Any) -> _Entry:
        if not self._name or len(self._name.encode()) > MAX_STORED_NAME_BYTES:
            raise self._refuse("name", f"must have 1..{MAX_STORED_NAME_BYTES} bytes")
        if not isinstance(value, dict) or value.keys() != _KEYS:
            raise self._refuse("", f"is not an object of {', '.join(sorted(_KEYS))}")
        kind = value["dtype"]
        if not isinstance(kind, str) or kind not in BITS:
            raise self._refuse("dtype", f"is {kind!r}, which names no type")
        shape = self._wholes(value["shape"], "shape")
        if len(shape) > MAX_STORED_RANK:
            raise self._refuse("shape", f"has rank {len(shape)}, at most {MAX_STORED_RANK} allowed")
        start, end = self._offsets(value["data_offsets"])
        bits = math.prod(shape) * BITS[kind]
        if bits != (end - start) * 8:
            problem = f"spans {end - start} bytes, {list(shape)} of {kind} take {-(-bits // 8)}"
            raise self._refuse("data_offsets", problem)
        return _Entry(self._name, kind, shape, start, end, self._at)

    def _offsets(self, value: Any) -> tuple[int, int]:
        offsets = self._wholes(value, "data_offsets")
        if len(offsets) != 2 or offsets[0] > offsets[1]:
            raise self._refuse("data_offsets", f"is {list(offsets)}, must be a start and an end")
        return offsets[0], offsets[1]

    def _wholes(self, value: Any, key: str) -> tuple[int, ...]:
        if not isinstance(value, list) or not all(type(each) is int for each in value):
            raise self._refuse(key, "is not an array of whole numbers")
        if any(not 0 <= each < MAX_FILE_BYTES for each in value):
            raise self._refuse(key, "has a number below 0, or above what a file can hold")
        return tuple(value)

    def _refuse(self, key: str, problem: str) -> SafetensorsError:
        place = f".{key}" if key else ""
        return SafetensorsError(self._path, f"tensor {self._name!r}{place}", self._at, problem)


def _check_tiling(path: Path, entries: list[_Entry], size: int) -> None:
    """In order of place each tensor starts where the one before ends; the last ends the file."""
    ordered = sorted(entries, key=lambda entry: (entry.start, entry.end))
    first = _Entry("", "", (), 0, 0, _PREFIX)
    for before, after in pairwise([first, *ordered]):
        if after.start != before.end:
            problem = f"starts at {after.start}, the tensor before it ends at {before.end}"
            raise SafetensorsError(path, f"tensor {after.name!r}.data_offsets", after.at, problem)
    last = ordered[-1] if ordered else first
    if last.end != size:
        problem = (
            f"holds {size} bytes, its tensors have {last.end}; "
            "it is cut short, damaged, or something was hidden behind it: get it again"
        )
        raise SafetensorsError(path, f"tensor {last.name!r}.data_offsets", last.at, problem)


def _tensor(path: Path, entry: _Entry, start: int, whole: Bytes) -> StoredTensor:
    raw = whole[start + entry.start : start + entry.end]
    return StoredTensor(
        path, entry.name, entry.kind, entry.shape, raw, start + entry.start, entry.at
    )

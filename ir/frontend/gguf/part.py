"""Read one GGUF file: check every length of its header, and map its tensors untouched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inferflux.ir.frontend.gguf.cursor import Cursor
from inferflux.ir.frontend.gguf.errors import GGUFError
from inferflux.ir.frontend.gguf.metadata import Metadata, check_metadata_count, read_metadata
from inferflux.ir.frontend.gguf.tensors import check_tensor_count, place_tensors, read_entries
from inferflux.ir.frontend.limits import DEFAULT_ALIGNMENT, MAX_ALIGNMENT
from inferflux.ir.frontend.mapping import map_file
from inferflux.ir.frontend.source import Bytes, SourceTensor

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A GGUF file: a model, or some of a model's tensors."""

    path: Path
    metadata: Metadata
    tensors: dict[str, SourceTensor]
    mapped: Bytes
    metadata_end: int  # where in the file


def read_part(path: Path) -> Part:
    """Map a file and read its header.  Raises as ``open_model`` does."""
    mapped = map_file(path, GGUFError)
    cursor = Cursor(path, mapped)
    tensor_count, metadata_count = _read_header(cursor)
    metadata = read_metadata(cursor, metadata_count)
    metadata_end = cursor.position
    entries = read_entries(cursor, tensor_count)
    whole = np.frombuffer(mapped, np.uint8)
    tensors = place_tensors(cursor, entries, _alignment(cursor, metadata), whole)
    return Part(path, metadata, tensors, whole, metadata_end)


def _read_header(cursor: Cursor) -> tuple[int, int]:
    magic = cursor.raw(4, "header.magic")
    if magic != _MAGIC:
        raise cursor.refuse("header.magic", 0, f"is {magic!r}, a GGUF file starts with {_MAGIC!r}")
    _check_version(cursor, cursor.u32("header.version"))
    tensor_count = cursor.u64("header.tensor_count")
    metadata_count = cursor.u64("header.metadata_count")
    check_tensor_count(cursor, tensor_count, 8)
    check_metadata_count(cursor, metadata_count, 16)
    return tensor_count, metadata_count


def _check_version(cursor: Cursor, version: int) -> None:
    if version in _VERSIONS:
        return
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if swapped in _VERSIONS:
        problem = f"is {swapped} in big-endian order; convert the file to little-endian"
    else:
        problem = f"is {version}; versions 2 and 3 are read: convert the file anew"
    raise cursor.refuse("header.version", 4, problem)


def _alignment(cursor: Cursor, metadata: Metadata) -> int:
    value = metadata.values.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(value) is int and 0 < value <= MAX_ALIGNMENT and value & (value - 1) == 0:
        return value
    offset = metadata.offsets["general.alignment"]
    problem = f"is {value!r}, must be a power of two up to {MAX_ALIGNMENT}"
    raise cursor.refuse("metadata 'general.alignment'", offset, problem)

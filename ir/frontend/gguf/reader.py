"""Open a GGUF file: read its header, check every length, and map its tensors untouched."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np

from inferflux.ir.frontend.gguf.cursor import Cursor
from inferflux.ir.frontend.gguf.errors import GGUFError
from inferflux.ir.frontend.gguf.limits import DEFAULT_ALIGNMENT, MAX_ALIGNMENT
from inferflux.ir.frontend.gguf.metadata import Metadata, check_metadata_count, read_metadata
from inferflux.ir.frontend.gguf.tensors import check_tensor_count, place_tensors, read_entries
from inferflux.ir.frontend.mapping import map_file
from inferflux.ir.frontend.source import ModelSource, SourceFile

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)


def open_model(path: str | Path) -> ModelSource:
    """Read the header of a model file.  No byte of a tensor is read.

    Raises GGUFError where the file cannot be trusted, UnsupportedModel where it holds tensors of
    a type that InferFlux does not know how to compute with.
    """
    path = Path(path)
    mapped = map_file(path, GGUFError)
    cursor = Cursor(path, mapped)
    tensor_count, metadata_count = _read_header(cursor)
    metadata = read_metadata(cursor, metadata_count)
    architecture = _architecture(cursor, metadata)
    entries = read_entries(cursor, tensor_count)
    whole = np.frombuffer(mapped, np.uint8)
    tensors = place_tensors(cursor, entries, _alignment(cursor, metadata), whole)
    return ModelSource(
        path=path,
        architecture=architecture,
        metadata=MappingProxyType(metadata.values),
        tensors=MappingProxyType(tensors),
        files=(SourceFile(path.name, whole),),
        offsets=MappingProxyType(metadata.offsets),
    )


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


def _architecture(cursor: Cursor, metadata: Metadata) -> str:
    name = metadata.values.get("general.architecture")
    if not isinstance(name, str) or not name:
        problem = "is missing" if name is None else f"is {name!r}, not a name"
        offset = metadata.offsets.get("general.architecture", cursor.position)
        raise cursor.refuse("metadata 'general.architecture'", offset, problem)
    return name


def _alignment(cursor: Cursor, metadata: Metadata) -> int:
    value = metadata.values.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(value) is int and 0 < value <= MAX_ALIGNMENT and value & (value - 1) == 0:
        return value
    offset = metadata.offsets["general.alignment"]
    problem = f"is {value!r}, must be a power of two up to {MAX_ALIGNMENT}"
    raise cursor.refuse("metadata 'general.alignment'", offset, problem)

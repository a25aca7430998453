"""The tensor table of a GGUF file, checked so that every tensor lies in the file, alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from inferflux.ir.frontend.gguf.cursor import Cursor
from inferflux.ir.frontend.gguf.kinds import SUPPORTED, TENSOR_KINDS, TensorKind
from inferflux.ir.frontend.gguf.repacked import REPACKED, repack, widen
from inferflux.ir.frontend.limits import MAX_RANK, MAX_TENSOR_NAME_BYTES, MAX_TENSORS
from inferflux.ir.frontend.source import Bytes, Origin, SourceTensor

_LEAST_BYTES = 33  # of an entry: name length and a letter, rank, one dimension, type, offset


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One row of the tensor table.  ``shape`` is row-major; ``offset`` counts from the data."""

    name: str
    shape: tuple[int, ...]
    kind: TensorKind
    offset: int
    entry_at: int  # where in the file this row starts
    offset_at: int  # and where its offset stands

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) // self.kind.block * self.kind.block_bytes


def check_tensor_count(cursor: Cursor, count: int, offset: int) -> None:
    allowed = min(MAX_TENSORS, (cursor.size - cursor.position) // _LEAST_BYTES)
    if count > allowed:
        problem = f"is {count}, a file of this size may hold {allowed}"
        raise cursor.refuse("header.tensor_count", offset, problem)


def read_entries(cursor: Cursor, count: int) -> tuple[TensorEntry, ...]:
    entries: dict[str, TensorEntry] = {}
    for index in range(count):
        start = cursor.position
        name = cursor.string(f"tensor {index}.name", MAX_TENSOR_NAME_BYTES)
        if not name or name in entries:
            problem = f"{name!r} stands there a second time" if name else "is empty"
            raise cursor.refuse(f"tensor {index}.name", start, problem)
        entries[name] = _read_entry(cursor, name, start)
    return tuple(entries.values())


def place_tensors(
    cursor: Cursor, entries: Sequence[TensorEntry], alignment: int, mapped: Bytes
) -> dict[str, SourceTensor]:
    """Give each tensor its bytes, once it is known that they are in the file and no other's."""
    start = -(-cursor.position // alignment) * alignment
    for entry in entries:
        _check_place(cursor, entry, start, alignment)
    ordered = sorted(entries, key=lambda entry: entry.offset)
    for before, after in pairwise(ordered):
        _check_apart(cursor, before, after)
    return {
        entry.name: _tensor(cursor.path, entry, start + entry.offset, mapped) for entry in entries
    }


def _read_entry(cursor: Cursor, name: str, entry_at: int) -> TensorEntry:
    field = f"tensor {name!r}"
    shape_at = cursor.position
    shape = _read_shape(cursor, field)
    kind = _read_kind(cursor, field)
    if shape[-1] % kind.block:
        problem = f"has rows of {shape[-1]}, not whole blocks of {kind.block} ({kind.name})"
        raise cursor.refuse(f"{field}.shape", shape_at + 4, problem)
    offset_at = cursor.position
    offset = cursor.u64(f"{field}.offset")
    entry = TensorEntry(name, shape, kind, offset, entry_at, offset_at)
    if entry.nbytes > cursor.size:  # before anything is made of a size that a file cannot have
        problem = f"{list(shape)} asks for {entry.nbytes} bytes of a file of {cursor.size}"
        raise cursor.refuse(f"{field}.shape", shape_at + 4, problem)
    return entry


def _read_shape(cursor: Cursor, field: str) -> tuple[int, ...]:
    start = cursor.position
    rank = cursor.u32(f"{field}.rank")
    if not 1 <= rank <= MAX_RANK:
        raise cursor.refuse(f"{field}.rank", start, f"is {rank}, must be 1..{MAX_RANK}")
    dims = [cursor.u64(f"{field}.shape") for _ in range(rank)]
    if 0 in dims:
        raise cursor.refuse(f"{field}.shape", start + 4, f"is {dims}, a dimension may not be 0")
    return tuple(reversed(dims))  # GGUF puts the innermost first


def _read_kind(cursor: Cursor, field: str) -> TensorKind:
    start = cursor.position
    number = cursor.u32(f"{field}.type")
    kind = TENSOR_KINDS.get(number)
    if kind is None:
        raise cursor.refuse(f"{field}.type", start, f"is {number}, which names no tensor type")
    if kind.name not in SUPPORTED and kind.name not in REPACKED:
        problem = f"{kind.name} is not supported; take a model of {', '.join(SUPPORTED)}"
        raise cursor.unsupported(f"{field}.type", start, problem)
    return kind


def _check_place(cursor: Cursor, entry: TensorEntry, start: int, alignment: int) -> None:
    field = f"tensor {entry.name!r}.offset"
    if entry.offset % alignment:
        problem = f"is {entry.offset}, not a multiple of the alignment {alignment}"
        raise cursor.refuse(field, entry.offset_at, problem)
    if start + entry.offset + entry.nbytes > cursor.size:
        problem = (
            f"is {entry.offset}: the tensor's {entry.nbytes} bytes would end at "
            f"{start + entry.offset + entry.nbytes} in a file of {cursor.size}; "
            "it is cut short or damaged: get it again"
        )
        raise cursor.refuse(field, entry.offset_at, problem)


def _check_apart(cursor: Cursor, before: TensorEntry, after: TensorEntry) -> None:
    if before.offset + before.nbytes > after.offset:
        problem = (
            f"is {after.offset}, inside tensor {before.name!r} "
            f"({before.offset}..{before.offset + before.nbytes})"
        )
        raise cursor.refuse(f"tensor {after.name!r}.offset", after.offset_at, problem)


def _tensor(path: Path, entry: TensorEntry, start: int, mapped: Bytes) -> SourceTensor:
    raw = mapped[start : start + entry.nbytes]
    origin = Origin(path, entry.name, entry.kind.name, start, entry.entry_at)
    if len(entry.shape) == 1 and entry.kind.name != "F32":
        return widen(entry.name, entry.kind, entry.shape, raw, origin)
    if entry.kind.name in REPACKED:
        return repack(entry.name, entry.kind, entry.shape, raw, origin)
    return SourceTensor(entry.name, SUPPORTED[entry.kind.name], entry.shape, lambda: raw, origin)

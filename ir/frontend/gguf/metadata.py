"""The metadata of a GGUF file: typed values by key."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from inferflux.ir.frontend.gguf.cursor import Cursor
from inferflux.ir.frontend.gguf.kinds import NUMBERS, ValueKind
from inferflux.ir.frontend.limits import MAX_KEY_BYTES, MAX_METADATA

_BYTE = np.dtype("u1")
_LEAST_BYTES = 14  # of an entry: the key's length, a letter of it, the value's type and a byte


@dataclass(frozen=True, slots=True)
class Metadata:
    """Values by key, and the place of each in the file."""

    values: dict[str, object] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)


def check_metadata_count(cursor: Cursor, count: int, offset: int) -> None:
    allowed = min(MAX_METADATA, (cursor.size - cursor.position) // _LEAST_BYTES)
    if count > allowed:
        problem = f"is {count}, a file of this size may hold {allowed}"
        raise cursor.refuse("header.metadata_count", offset, problem)


def read_metadata(cursor: Cursor, count: int) -> Metadata:
    metadata = Metadata()
    for index in range(count):
        start = cursor.position
        key = cursor.string(f"metadata key {index}", MAX_KEY_BYTES)
        if not key or key in metadata.values:
            problem = f"{key!r} stands there a second time" if key else "is empty"
            raise cursor.refuse(f"metadata key {index}", start, problem)
        metadata.offsets[key] = cursor.position
        metadata.values[key] = _read_value(cursor, f"metadata {key!r}")
    return metadata


def _read_value(cursor: Cursor, field: str) -> object:
    kind = _read_kind(cursor, field)
    if kind is ValueKind.ARRAY:
        return _read_array(cursor, field)
    if kind is ValueKind.STRING:
        return cursor.string(field)
    if kind is ValueKind.BOOL:
        return bool(_read_bools(cursor, 1, field)[0])
    return cursor.numbers(NUMBERS[kind], 1, field)[0].item()


def _read_array(cursor: Cursor, field: str) -> object:
    start = cursor.position
    kind = _read_kind(cursor, f"{field} item")
    count = cursor.u64(f"{field}.count")
    if kind is ValueKind.ARRAY:  # legal, but nobody writes them and llama.cpp refuses them too
        raise cursor.refuse(
            f"{field} item.type", start, "is an array; arrays of arrays are not read"
        )
    if kind is ValueKind.STRING:
        return cursor.strings(count, field)
    if kind is ValueKind.BOOL:
        return _read_bools(cursor, count, field)
    return cursor.numbers(NUMBERS[kind], count, field)


def _read_kind(cursor: Cursor, field: str) -> ValueKind:
    start = cursor.position
    number = cursor.u32(f"{field}.type")
    try:
        return ValueKind(number)
    except ValueError:
        problem = f"is {number}, not one of GGUF's value types 0..{max(ValueKind):d}"
        raise cursor.refuse(f"{field}.type", start, problem) from None


def _read_bools(
    cursor: Cursor, count: int, field: str
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    start = cursor.position
    raw = cursor.numbers(_BYTE, count, field)
    if raw.size and raw.max() > 1:
        wrong = int(np.argmax(raw > 1))
        raise cursor.refuse(field, start + wrong, f"is {raw[wrong]}, a bool is 0 or 1")
    return raw.view(np.bool_)

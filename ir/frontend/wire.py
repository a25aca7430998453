"""Protocol buffers' wire format: a message is fields by number, each with its place in a file.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from inferflux.ir.frontend.source import ModelFileError, UnsupportedModel

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_MOST_BITS = 63  # a varint's tenth byte holds the last of 64


@dataclass(frozen=True, slots=True)
class Value:
    """What stands in a field: a number, or the bytes from ``start`` to ``end``."""

    wire: int
    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Message:
    """The bytes ``start`` to ``end`` of a file, which are ``name``; fields may repeat."""

    path: Path
    raw: bytes = field(repr=False)
    name: str
    start: int
    fields: dict[int, list[Value]] = field(repr=False)

    @classmethod
    def read(cls, path: Path, raw: bytes, name: str, start: int, end: int) -> Message:
        """Raises ModelFileError with the byte at which the format is broken."""
        fields: dict[int, list[Value]] = {}
        at = start
        while at < end:
            key, value = _varint(path, raw, name, at, end)
            found = _value(path, raw, name, key & 7, value, end)
            fields.setdefault(key >> 3, []).append(found)
            at = found.end
        return cls(path, raw, name, start, fields)

    def has(self, number: int) -> bool:
        return number in self.fields

    def number(self, number: int, name: str, default: int) -> int:
        """A whole number, of 64 bits without a sign; the last one counts."""
        found = self._last(number, name, _VARINT)
        return default if found is None else found.number

    def fixed(self, number: int, name: str) -> int:
        """The bits of a float32; 0 where it does not stand."""
        found = self._last(number, name, _FIXED32)
        return 0 if found is None else found.number

    def bytes(self, number: int, name: str) -> bytes:
        found = self._last(number, name, _BYTES)
        return b"" if found is None else self.raw[found.start : found.end]

    def message(self, number: int, name: str) -> Message:
        """The one that stands there; without fields where none does."""
        found = self._last(number, name, _BYTES)
        if found is None:
            return Message(self.path, self.raw, name, self.start, {})
        return Message.read(self.path, self.raw, name, found.start, found.end)

    def messages(self, number: int, name: str) -> Iterator[Message]:
        for index, found in enumerate(self.fields.get(number, ())):
            self._check(found, name, _BYTES)
            yield Message.read(self.path, self.raw, f"{name}[{index}]", found.start, found.end)

    def wrong(self, name: str, problem: str) -> ModelFileError:
        """The file contradicts its format or itself."""
        return ModelFileError(self.path, f"{self.name}.{name}", self.start, problem)

    def unsupported(self, name: str, problem: str) -> UnsupportedModel:
        """The file is sound and asks for what is not built."""
        return UnsupportedModel(self.path, f"{self.name}.{name}", self.start, problem)

    def _last(self, number: int, name: str, wire: int) -> Value | None:
        found = self.fields.get(number)
        if found is None:
            return None
        self._check(found[-1], name, wire)
        return found[-1]

    def _check(self, found: Value, name: str, wire: int) -> None:
        if found.wire != wire:
            problem = f"is of wire type {found.wire}, must be {wire}"
            raise ModelFileError(self.path, f"{self.name}.{name}", found.start, problem)


def _value(path: Path, raw: bytes, name: str, wire: int, at: int, end: int) -> Value:
    if wire == _VARINT:
        number, after = _varint(path, raw, name, at, end)
        return Value(wire, number, at, after)
    if wire == _BYTES:
        length, at = _varint(path, raw, name, at, end)
        _check_room(path, name, at, length, end)
        return Value(wire, 0, at, at + length)
    if wire in _WIDTHS:
        width = _WIDTHS[wire]
        _check_room(path, name, at, width, end)
        return Value(wire, int.from_bytes(raw[at : at + width], "little"), at, at + width)
    raise ModelFileError(path, name, at, f"has a field of wire type {wire}, which is not known")


def _varint(path: Path, raw: bytes, name: str, at: int, end: int) -> tuple[int, int]:
    """The number at ``at``, and the place after it."""
    number, place = 0, at
    for shift in range(0, _MOST_BITS + 1, 7):
        if place >= end:
            break
        byte = raw[place]
        number |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return number & ((1 << 64) - 1), place
    raise ModelFileError(path, name, at, "holds a number that does not end")


def _check_room(path: Path, name: str, at: int, length: int, end: int) -> None:
    if length > end - at:
        problem = f"holds {length} bytes, of which {end - at} are there"
        raise ModelFileError(path, name, at, problem)

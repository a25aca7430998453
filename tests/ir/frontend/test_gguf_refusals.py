"""Bad GGUF files by hand: every class that llama.cpp's tests reject, and what they left out."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import GGUFError, ModelFileError, ModelSource, UnsupportedModel, limits

U8, U32, F32_VALUE, BOOL, STRING, ARRAY = 0, 4, 6, 7, 8, 9
F32, Q8_0, Q8_K = 0, 8, 15
HEADER, FIRST_VALUE = 24, 24 + 8 + len("general.architecture")


def text(value: str | bytes, length: int | None = None) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, count: int, items: bytes) -> bytes:
    return struct.pack("<IQ", kind, count) + items


def alignment(value: int) -> bytes:
    return entry("general.alignment", U32, struct.pack("<I", value))


def tensor(
    name: str | bytes, dims: tuple[int, ...] = (32,), kind: int = F32, offset: int = 0
) -> bytes:
    shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


ARCHITECTURE = entry("general.architecture", STRING, text("llama"))


@dataclass(frozen=True, slots=True)
class RawGGUF:
    """A file of these parts.  By default a sound one: one key, one tensor of 128 bytes."""

    magic: bytes = b"GGUF"
    order: str = "<"
    version: int = 3
    entries: tuple[bytes, ...] = (ARCHITECTURE,)
    tensors: tuple[bytes, ...] = (tensor("a"),)
    data: bytes = bytes(128)
    tensor_count: int | None = None  # None: as many as there are
    metadata_count: int | None = None
    pad_to: int = 32

    def write(self, path: Path) -> Path:
        counts = (
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.entries) if self.metadata_count is None else self.metadata_count,
        )
        header = self.magic + struct.pack(f"{self.order}IQQ", self.version, *counts)
        table = header + b"".join(self.entries) + b"".join(self.tensors)
        path.write_bytes(table + bytes(-len(table) % self.pad_to) + self.data)
        return path


Opener = Callable[..., ModelSource]
Refuser = Callable[..., ModelFileError]


@pytest.fixture
def open_raw(tmp_path: Path) -> Opener:
    """``open_raw(version=2)`` opens a RawGGUF with these fields."""

    def opened(**fields: Any) -> ModelSource:
        return frontend.open(replace(RawGGUF(), **fields).write(tmp_path / "raw.gguf"))

    return opened


@pytest.fixture
def refuse_raw(open_raw: Opener, tmp_path: Path) -> Refuser:
    """As ``open_raw``, of a file that must be refused with its name, the field and the offset."""

    def refused(**fields: Any) -> ModelFileError:
        with pytest.raises(ModelFileError) as caught:
            open_raw(**fields)
        error = caught.value
        assert error.path == tmp_path / "raw.gguf"
        assert error.offset is not None
        assert f"{error.path}: {error.field} at byte {error.offset}: " in str(error)
        return error

    return refused


def test_the_sound_file_opens(open_raw: Opener):
    source = open_raw()
    assert (source.architecture, list(source.tensors)) == ("llama", ["a"])


def test_versions_2_and_3_are_read_alike(open_raw: Opener):
    assert open_raw(version=2).metadata == open_raw(version=3).metadata


def test_a_file_without_tensors_opens(open_raw: Opener):
    assert open_raw(tensors=(), data=b"").tensors == {}


HEADERS = {
    "bad magic": ({"magic": b"GGML"}, "header.magic", 0, "starts with b'GGUF'"),
    "version 0": ({"version": 0}, "header.version", 4, "is 0; versions 2 and 3"),
    "version 1": ({"version": 1}, "header.version", 4, "is 1; versions 2 and 3"),
    "version of the future": ({"version": 4}, "header.version", 4, "is 4; versions 2 and 3"),
    "big-endian": ({"order": ">"}, "header.version", 4, "is 3 in big-endian order"),
    "tensor count": ({"tensor_count": 2**63}, "header.tensor_count", 8, "may hold"),
    "tensor count beyond the file": ({"tensor_count": 99}, "header.tensor_count", 8, "may hold 7"),
    "metadata count": ({"metadata_count": 2**64 - 1}, "header.metadata_count", 16, "may hold"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_bad_header_is_refused(refuse_raw: Refuser, case: str):
    fields, field, offset, problem = HEADERS[case]
    error = refuse_raw(**fields)
    assert (error.field, error.offset) == (field, offset)
    assert problem in str(error)


def keyed(key: str, kind: int, value: bytes) -> dict[str, tuple[bytes, ...]]:
    return {"entries": (ARCHITECTURE, entry(key, kind, value))}


METADATA = {
    "key length": ({"entries": (text("x", 2**63),)}, "metadata key 0.length", "at most 65535"),
    "key past the end": ({"entries": (text("x", 60_000),)}, "metadata key 0", "cut short"),
    "empty key": ({"entries": (entry("", U8, b"\0"),)}, "metadata key 0", "is empty"),
    "key not UTF-8": ({"entries": (entry(b"\xff", U8, b"\0"),)}, "metadata key 0", "not UTF-8"),
    "value type": (keyed("x", 13, b""), "metadata 'x'.type", "is 13, not one of"),
    "value length": (keyed("x", STRING, text("v", 2**62)), "metadata 'x'", "cut short"),
    "value not UTF-8": (keyed("x", STRING, text(b"\xc3\x28")), "metadata 'x'", "not UTF-8"),
    "bool of 2": (keyed("x", BOOL, b"\x02"), "metadata 'x'", "is 2, a bool is 0 or 1"),
    "duplicate key": (
        {"entries": (ARCHITECTURE, ARCHITECTURE)},
        "metadata key 1",
        "'general.architecture' stands there a second time",
    ),
    "no architecture": ({"entries": ()}, "metadata 'general.architecture'", "is missing"),
    "architecture of a number": (
        {"entries": (entry("general.architecture", U8, b"\1"),)},
        "metadata 'general.architecture'",
        "is 1, not a name",
    ),
    "array type": (keyed("x", ARRAY, array(99, 1, b"\0")), "metadata 'x' item.type", "is 99"),
    "array of arrays": (
        keyed("x", ARRAY, array(ARRAY, 1, array(U8, 1, b"\0"))),
        "metadata 'x' item.type",
        "arrays of arrays",
    ),
    "array count": (keyed("x", ARRAY, array(U32, 2**62, b"")), "metadata 'x'", "cut short"),
    "string array count": (
        keyed("x", ARRAY, array(STRING, 2**62, b"")),
        "metadata 'x'",
        "more than the 2097152 a file may hold",
    ),
    "string array count beyond the file": (
        keyed("x", ARRAY, array(STRING, 1000, text("v"))),
        "metadata 'x'",
        "needs 8000 bytes",
    ),
    "string in an array": (
        keyed("x", ARRAY, array(STRING, 2, text("v") + text("w", 2**40))),
        "metadata 'x'[1]",
        "cut short",
    ),
    "string in an array not UTF-8": (
        keyed("x", ARRAY, array(STRING, 2, text("v") + text(b"\xff"))),
        "metadata 'x'[1]",
        "not UTF-8",
    ),
    "bool array": (keyed("x", ARRAY, array(BOOL, 3, b"\0\1\7")), "metadata 'x'", "is 7, a bool"),
    "alignment 0": (
        {"entries": (ARCHITECTURE, alignment(0))},
        "metadata 'general.alignment'",
        "is 0, must be a power of two",
    ),
    "alignment 13": (
        {"entries": (ARCHITECTURE, alignment(13))},
        "metadata 'general.alignment'",
        "is 13, must be a power of two",
    ),
    "alignment of 2 GiB": (
        {"entries": (ARCHITECTURE, alignment(2**31))},
        "metadata 'general.alignment'",
        "up to 1048576",
    ),
    "alignment of a bool": (
        keyed("general.alignment", BOOL, b"\1"),
        "metadata 'general.alignment'",
        "is True",
    ),
    "alignment of text": (
        keyed("general.alignment", STRING, text("32")),
        "metadata 'general.alignment'",
        "is '32'",
    ),
}


@pytest.mark.parametrize("case", METADATA)
def test_bad_metadata_is_refused(refuse_raw: Refuser, case: str):
    fields, field, problem = METADATA[case]
    error = refuse_raw(**fields)
    assert isinstance(error, GGUFError)
    assert error.field == field
    assert problem in str(error)


def one(raw: bytes) -> dict[str, tuple[bytes, ...]]:
    return {"tensors": (raw,)}


TENSORS = {
    "name length": (one(tensor("n" * 64)), "tensor 0.name.length", "is 64, at most 63"),
    "empty name": (one(tensor("")), "tensor 0.name", "is empty"),
    "name not UTF-8": (one(tensor(b"\xfe")), "tensor 0.name", "not UTF-8"),
    "duplicate name": (
        {"tensors": (tensor("a"), tensor("a", offset=128)), "data": bytes(256)},
        "tensor 1.name",
        "'a' stands there a second time",
    ),
    "rank 0": (one(tensor("a", ())), "tensor 'a'.rank", "is 0, must be 1..4"),
    "rank 5": (one(tensor("a", (1,) * 5)), "tensor 'a'.rank", "is 5, must be 1..4"),
    "rank of 2**32 - 1": (
        one(text("a") + struct.pack("<I", 2**32 - 1) + bytes(64)),
        "tensor 'a'.rank",
        "is 4294967295",
    ),
    "dimension 0": (one(tensor("a", (32, 0))), "tensor 'a'.shape", "a dimension may not be 0"),
    "dimension beyond int64": (one(tensor("a", (2**63,))), "tensor 'a'.shape", "asks for"),
    "product beyond uint64": (one(tensor("a", (2**62, 4))), "tensor 'a'.shape", "asks for"),
    "bytes that wrap to 0": (one(tensor("a", (2**32, 2**30))), "tensor 'a'.shape", "asks for"),
    "bytes of two that wrap to 0": (
        {"tensors": (tensor("a", (2**61,)), tensor("b", (2**61,), offset=2**63))},
        "tensor 'a'.shape",
        "asks for",
    ),
    "row of half a block": (
        one(tensor("a", (33, 32), Q8_0)),
        "tensor 'a'.shape",
        "has rows of 33, not whole blocks of 32 (Q8_0)",
    ),
    "unknown type": (one(tensor("a", kind=99)), "tensor 'a'.type", "names no tensor type"),
    "type that was removed": (one(tensor("a", kind=4)), "tensor 'a'.type", "names no tensor type"),
    "offset off alignment": (one(tensor("a", offset=4)), "tensor 'a'.offset", "alignment 32"),
    "offset past the end": (one(tensor("a", offset=32)), "tensor 'a'.offset", "would end at"),
    "offset near 2**64": (one(tensor("a", offset=2**64 - 32)), "tensor 'a'.offset", "would end"),
    "not enough data": ({"data": bytes(127)}, "tensor 'a'.offset", "cut short"),
    "overlap": (
        {"tensors": (tensor("b", offset=96), tensor("a")), "data": bytes(256)},
        "tensor 'b'.offset",
        "is 96, inside tensor 'a' (0..128)",
    ),
    "same place": (
        {"tensors": (tensor("a"), tensor("b")), "data": bytes(256)},
        "tensor 'b'.offset",
        "is 0, inside tensor 'a'",
    ),
    "alignment that does not fit the offsets": (
        {
            "entries": (ARCHITECTURE, alignment(64)),
            "tensors": (tensor("a", (8,)), tensor("b", (8,), offset=32)),
        },
        "tensor 'b'.offset",
        "is 32, not a multiple of the alignment 64",
    ),
    "alignment that moves the data past the end": (
        {"entries": (ARCHITECTURE, alignment(1024))},
        "tensor 'a'.offset",
        "cut short",
    ),
}


@pytest.mark.parametrize("case", TENSORS)
def test_bad_tensors_are_refused(refuse_raw: Refuser, case: str):
    fields, field, problem = TENSORS[case]
    error = refuse_raw(**fields)
    assert isinstance(error, GGUFError)
    assert error.field == field
    assert problem in str(error)


def test_an_unsupported_type_is_refused_by_its_name(refuse_raw: Refuser):
    error = refuse_raw(tensors=(tensor("a", (256,), Q8_K),), data=bytes(292))
    assert isinstance(error, UnsupportedModel)
    assert error.code == "unsupported_model"
    assert "Q8_K is not supported; take a model of F32, F16, BF16, Q4_0, " in str(error)


def test_a_hostile_name_does_not_fill_the_log(refuse_raw: Refuser):
    assert len(str(refuse_raw(**keyed("x" * 60_000, 13, b"")))) < 1000


def test_every_cut_of_a_file_is_refused(tmp_path: Path):
    whole = RawGGUF().write(tmp_path / "whole.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(GGUFError):
            frontend.open(path)


def test_more_strings_than_a_file_may_hold_are_refused(refuse_raw: Refuser, monkeypatch):
    """Over all arrays of the file together, each of which alone would do."""
    monkeypatch.setattr("inferflux.ir.frontend.gguf.cursor.MAX_STRINGS", 5)
    three = array(STRING, 3, text("v") * 3)
    entries = (ARCHITECTURE, entry("x", ARRAY, three), entry("y", ARRAY, three))
    assert refuse_raw(entries=entries).field == "metadata 'y'"


def test_the_limits_leave_room_for_the_largest_vocabularies():
    assert limits.MAX_STRINGS >= 256_000 + 512_000


@pytest.mark.parametrize("kind", ["missing", "empty", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str):
    path = tmp_path / kind
    make = {"missing": lambda: None, "empty": path.touch}
    make.get(kind, lambda: os.mkfifo(path))()
    with pytest.raises(GGUFError, match=kind):
        frontend.open(path)

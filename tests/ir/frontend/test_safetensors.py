"""safetensors files: tensors lie where the header says; what breaks the format is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from inferflux.ir.frontend import ModelFileError
from inferflux.ir.frontend.safetensors import SafetensorsError, open_file
from inferflux.ir.frontend.safetensors.kinds import BITS


@pytest.fixture
def tensors(hf_files: ModuleType) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "a": hf_files.store(random.normal(size=(3, 4)).astype(np.float32)),
        "b": hf_files.store(random.normal(size=(2, 8)).astype(np.float32), "BF16"),
        "none": ("F16", (0, 7), b""),
        "scalar": hf_files.store(np.array(7, np.int64)),
        "c": hf_files.store(random.integers(-9, 9, (5,)).astype(np.int8)),
    }


@pytest.fixture
def header(hf_files: ModuleType, tensors: dict[str, Any]) -> dict[str, Any]:
    """A true one, for tests to bend."""
    return {"__metadata__": {"format": "pt"}, **hf_files.entries(tensors)}


def test_tensors_lie_where_the_header_says(
    hf_files: ModuleType, tensors: dict[str, Any], header: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(hf_files.pack(tensors, header))
    opened = open_file(path)
    assert list(opened.tensors) == list(tensors)
    for name, (kind, shape, content) in tensors.items():
        found = opened.tensors[name]
        assert (found.kind, found.shape, found.raw.tobytes()) == (kind, shape, content)
        assert path.read_bytes()[found.offset :].startswith(content)
        assert not found.raw.flags.writeable
    entry = json.dumps(header["c"]).encode()
    assert path.read_bytes()[opened.tensors["c"].entry_offset :].startswith(entry)


def test_places_count_bytes_where_names_are_not_ascii(hf_files: ModuleType, tmp_path: Path) -> None:
    tensors = {name: hf_files.store(np.ones(2, np.float32)) for name in ("é", "ß𝄞", "z")}
    text = json.dumps(hf_files.entries(tensors), ensure_ascii=False).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(hf_files.pack(tensors, text))
    for name, tensor in open_file(path).tensors.items():
        before = path.read_bytes()[: tensor.entry_offset]
        assert before.decode(errors="ignore").endswith(f'"{name}": ')


def test_every_type_of_the_format_has_its_size(hf_files: ModuleType, tmp_path: Path) -> None:
    tensors = {kind: (kind, (8,), bytes(bits)) for kind, bits in BITS.items()}
    path = tmp_path / "m.safetensors"
    path.write_bytes(hf_files.pack(tensors))
    assert {name: found.kind for name, found in open_file(path).tensors.items()} == {
        kind: kind for kind in BITS
    }


def edit(header: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    return header | {name: header[name] | fields}


REFUSED = {  # what becomes of the header: field, problem
    "a hole": (lambda h: edit(h, "b", data_offsets=[52, 84]), "'b'.data_offsets", "starts at 52"),
    "an overlap": (lambda h: edit(h, "b", data_offsets=[44, 76]), "'b'.data_offsets", "at 44"),
    "beyond the file": (
        lambda h: edit(h, "c", shape=[50], data_offsets=[88, 138]),
        "'c'.data_offsets",
        "its tensors have 138",
    ),
    "a start above its end": (
        lambda h: edit(h, "a", data_offsets=[48, 0]),
        "'a'.data_offsets",
        "must be a start and an end",
    ),
    "offsets below 0": (
        lambda h: edit(h, "a", data_offsets=[-1, 47]),
        "'a'.data_offsets",
        "below 0",
    ),
    "three offsets": (
        lambda h: edit(h, "a", data_offsets=[0, 1, 2]),
        "'a'.data_offsets",
        "a start",
    ),
    "a size that is not the shape's": (
        lambda h: edit(h, "a", shape=[3, 5]),
        "'a'.data_offsets",
        r"spans 48 bytes, \[3, 5\] of F32 take 60",
    ),
    "a product that overflows 64 bits to the size": (
        lambda h: edit(h, "a", shape=[1 << 40, 1 << 40, 12]),
        "'a'.data_offsets",
        "take",
    ),
    "a dimension no file has": (lambda h: edit(h, "a", shape=[1 << 63, 2]), "'a'.shape", "above"),
    "a fraction": (lambda h: edit(h, "a", shape=[3.0, 4]), "'a'.shape", "not an array of whole"),
    "a bool": (lambda h: edit(h, "a", shape=[True, 12]), "'a'.shape", "not an array of whole"),
    "a high rank": (lambda h: edit(h, "none", shape=[0] * 9), "'none'.shape", "rank 9, at most 8"),
    "an unknown type": (lambda h: edit(h, "a", dtype="F31"), "'a'.dtype", "'F31', which names no"),
    "a type that is a list": (lambda h: edit(h, "a", dtype=[]), "'a'.dtype", "which names no"),
    "a key more": (lambda h: edit(h, "a", extra=1), "'a'", "is not an object of data_offsets"),
    "an entry that is a number": (lambda h: h | {"a": 3}, "'a'", "is not an object of"),
    "metadata that is no text": (
        lambda h: h | {"__metadata__": {"a": 1}},
        "__metadata__",
        "strings",
    ),
    "a long name": (lambda h: h | {"n" * 513: h["none"]}, "tensor 'n", "must have 1..512 bytes"),
    "no name": (lambda h: h | {"": h["none"]}, "tensor ''.name", "must have 1..512 bytes"),
    "a list": (lambda h: b"[1]", "header", "is not an object"),
    "two of a name": (lambda h: b'{"a": 1, "a": 2}', "header", "has 'a' twice"),
    "two of a key": (lambda h: b'{"a": {"dtype": 1, "dtype": 2}}', "header", "has 'dtype' twice"),
    "no JSON": (lambda h: b"{'a': 1}", "header", "is not JSON"),
    "JSON cut short": (lambda h: b'{"a": {"dtype":', "header", "is not JSON"),
    "more after it": (lambda h: b"{} {}", "header", "goes on after its end"),
    "no UTF-8": (lambda h: b'{"\xff": 1}', "header", "is not UTF-8"),
    "half a pair": (lambda h: b'{"\\ud800": 1}', "header", "half a surrogate pair"),
    "NaN": (lambda h: b'{"a": NaN}', "header", "holds NaN"),
    "deep nesting": (lambda h: b'{"a": ' + b"[" * 100_000, "header", "nested too deeply"),
    "a number of many digits": (lambda h: b'{"a": ' + b"9" * 5000 + b"}", "header", "is not JSON"),
    "values that take much memory": (
        lambda h: b'{"a": [' + b"[]," * 1_000_000 + b"0]}",
        "header",
        "bytes of memory",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_header_that_breaks_the_format_is_refused(
    hf_files: ModuleType,
    tensors: dict[str, Any],
    header: dict[str, Any],
    tmp_path: Path,
    case: str,
) -> None:
    bend, field, problem = REFUSED[case]
    path = tmp_path / "m.safetensors"
    path.write_bytes(hf_files.pack(tensors, bend(header)))
    with pytest.raises(ModelFileError, match=problem) as refused:
        open_file(path)
    assert field in refused.value.field
    assert refused.value.path == path
    assert refused.value.offset is not None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\x02\0\0\0", "needs 8 bytes and the file has 4"),
        (struct.pack("<Q", 3) + b"{}", "is 3 and the file has 2 bytes left"),
        (struct.pack("<Q", 1 << 63), "at most 16777216 allowed"),
        (struct.pack("<Q", 0), "is not an object"),
    ],
)
def test_a_file_cut_short_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=problem):
        open_file(path)


def test_bytes_that_no_tensor_has_are_refused(
    hf_files: ModuleType, tensors: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(hf_files.pack(tensors, tail=b"x"))
    with pytest.raises(SafetensorsError, match="holds 94 bytes, its tensors have 93"):
        open_file(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SafetensorsError, match="not a regular file"):
        open_file(tmp_path / name)

"""Every class of bad file that others' tests reject, and a twin of the reader without the check.

The twin lets the file pass, or refuses it for another reason: so a row tests its own check, and a
check that is lost is noticed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError, safetensors

OPENS = "opens"  # what a twin does with a file that it should refuse
PART, CURSOR, KEYS, TABLE = (f"gguf.{name}" for name in ("part", "cursor", "metadata", "tensors"))
VERSION = (PART, "if version in _VERSIONS:", "if True:")
LENGTH = (CURSOR, "max_bytes is not None and length > max_bytes", "False")
BYTES_LEFT = (CURSOR, "nbytes > self.size - start", "False")
COUNT = ("if count > allowed:", "if False:")
KEY = "if not key or key in metadata.values:"
NBYTES = (TABLE, "if entry.nbytes > cursor.size:", "if False:")
PLACE = (TABLE, "entry.offset + entry.nbytes > cursor.size:", "entry.offset < 0:")
OFFSET = (TABLE, "if entry.offset % alignment:", "if False:")
NOT_FITTING, MOVED = (
    f"alignment that {what}" for what in ("does not fit the offsets", "moves the data past the end")
)

# class -> which bad file of test_gguf_refusals.py, the check's module, the check, what stands in
# its place in the twin, and what the twin says
GGUF = {
    "HEADER_BAD_MAGIC": ("bad magic", PART, "magic != _MAGIC", "False", OPENS),
    "HEADER_BAD_VERSION_0": ("version 0", *VERSION, OPENS),
    "HEADER_BAD_VERSION_1": ("version 1", *VERSION, OPENS),
    "HEADER_BAD_VERSION_FUTURE": ("version of the future", *VERSION, OPENS),
    "HEADER_BAD_N_TENSORS": ("tensor count", TABLE, *COUNT, "tensor 1.name"),
    "HEADER_BAD_N_KV": ("metadata count", KEYS, *COUNT, "metadata key 2"),
    "KV_BAD_KEY_SIZE": ("key length", *LENGTH, "cut short"),
    "KV_EMPTY_KEY": ("empty key", KEYS, KEY, "if False:", "architecture' at byte"),
    "KV_BAD_TYPE": ("value type", KEYS, "ValueKind(number)", "ValueKind(0)", "metadata key 1"),
    "KV_BAD_VALUE_SIZE": ("value length", *BYTES_LEFT, "struct.error"),
    "KV_DUPLICATE_KEY": ("duplicate key", KEYS, KEY, "if not key:", OPENS),
    "KV_BAD_ALIGN": ("alignment 13", PART, "value & (value - 1) == 0", "True", OPENS),
    "KV_WRONG_TYPE_ALIGN": ("alignment of a bool", PART, "type(value) is int and", "", OPENS),
    "TENSORS_BAD_NAME_SIZE": ("name length", *LENGTH, OPENS),
    "TENSORS_BAD_N_DIMS": ("rank 5", TABLE, "not 1 <= rank <= MAX_RANK", "False", OPENS),
    "TENSORS_BAD_SHAPE": ("dimension beyond int64", *NBYTES, "would end at"),
    "TENSORS_NE_TOO_BIG": ("product beyond uint64", *NBYTES, "would end at"),
    "TENSORS_NBYTES_TOO_BIG": ("bytes that wrap to 0", *NBYTES, "would end at"),
    "TENSORS_BAD_TYPE": ("unknown type", TABLE, "S.get(number)", "S.get(0)", OPENS),
    "TENSORS_BAD_OFFSET": ("offset past the end", *PLACE, OPENS),
    "TENSORS_DUPLICATE_NAME": ("duplicate name", TABLE, "name in entries", "False", OPENS),
    "TENSORS_BAD_ALIGN": ("alignment of 2 GiB", PART, "<= MAX_ALIGNMENT", "", "would end at"),
    "TENSORS_INCONSISTENT_ALIGN": (NOT_FITTING, *OFFSET, OPENS),
    "DATA_NOT_ENOUGH_DATA": ("not enough data", *PLACE, OPENS),
    "DATA_BAD_ALIGN": (MOVED, *PLACE, OPENS),
    "DATA_INCONSISTENT_ALIGN": ("offset off alignment", *OFFSET, "would end at"),
    "DATA_MEM_SIZE_OVERFLOW": ("bytes of two that wrap to 0", *NBYTES, "would end at"),
}


def stored(header: object, data: int = 8, length: int | None = None) -> bytes:
    """A safetensors file of this header, whose length may lie, and so many bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


def floats(start: int = 0, end: int = 8, shape: tuple[int, ...] = (2,), kind: str = "F32") -> Any:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def text(header: bytes) -> bytes:
    """A header with one sound entry in it."""
    return header.replace(b"ENTRY", json.dumps(floats()).encode())


READER, JSON = "safetensors.reader", "json_text"
SIZE = (READER, "if bits != (end - start) * 8:", "if False:")
TILES = (READER, "if after.start != before.end:", "if False:")
END = (READER, "if last.end != size:", "if False:")
SHORT = (READER, "len(prefix) < _PREFIX", "False")
LONG = (READER, "length > MAX_HEADER_BYTES", "False")
CUT = (READER, "length > size - _PREFIX", "False")
BRACE = (JSON, 'if text[at : at + 1] != "{":', "if False:")
COLON = (JSON, 'if text[end : end + 1] != ":":', "if False:")
TWICE = (JSON, "if key in values:", "if False:")
UTF8 = (JSON, "raw.decode()", 'raw.decode("latin-1")')
KIND = (READER, "kind not in BITS", "False")
HUGE = (1 << 40,) * 4
HOLE, OVERLAP = ({"a": floats(), "b": floats(at, at + 8)} for at in (12, 4))

# class -> the file, the field that is named, and as above
SAFETENSORS = {
    "HeaderTooSmall": (b"\2\0", "header length", *SHORT, "left"),
    "HeaderTooLarge": (struct.pack("<Q", 1 << 63), "header length", *LONG, "bytes left"),
    "InvalidHeaderLength": (stored({}, length=10_000), "header length", *CUT, "after its end"),
    "InvalidHeader": (stored(b'{"\xff": 1}'), "header", *UTF8, "not an object of"),
    "InvalidHeaderStart": (stored(text(b'["a": ENTRY}')), "header", *BRACE, OPENS),
    "InvalidHeaderDeserialization": (stored(text(b'{"a"; ENTRY}')), "header", *COLON, OPENS),
    "TensorInvalidInfo": (stored({"a": floats(shape=(3,))}), "tensor 'a'", *SIZE, OPENS),
    "ValidationOverflow": (stored({"a": floats(shape=HUGE)}), "tensor 'a'", *SIZE, OPENS),
    "InvalidOffset, a hole": (stored(HOLE, 20), "tensor 'b'", *TILES, OPENS),
    "InvalidOffset, an overlap": (stored(OVERLAP, 12), "tensor 'b'", *TILES, OPENS),
    "MetadataIncompleteBuffer": (stored({"a": floats()}, 9), "tensor 'a'", *END, OPENS),
    "a name twice": (stored(text(b'{"a": ENTRY, "a": ENTRY}')), "header", *TWICE, OPENS),
    "no such type": (stored({"a": floats(kind="F31")}), "tensor 'a'.dtype", *KIND, "KeyError"),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A file, and how it is refused."""

    path: Path
    read: Callable[[Path], object]
    field: str
    problem: str = ""

    def outcome(self) -> str:
        """What the reader says."""
        try:
            self.read(self.path)
        except ModelFileError as error:
            return f"{error.field} at byte {error.offset}: {error}"
        except Exception as error:  # a twin may fall over anything
            return f"{type(error).__module__}.{type(error).__name__}"
        return OPENS

    def is_right(self, outcome: str) -> bool:
        return outcome.startswith(self.field) and self.problem in outcome


@pytest.fixture(scope="module")
def bad_files() -> Mapping[str, Any]:
    """The bad files of test_gguf_refusals.py by what they are called, and what writes them."""
    path = Path(__file__).parents[1] / "test_gguf_refusals.py"
    spec = importlib.util.spec_from_file_location("gguf_refusals", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    headers = {name: (row[0], row[1], row[3]) for name, row in module.HEADERS.items()}
    return {"write": module.RawGGUF, **headers, **module.METADATA, **module.TENSORS}


@pytest.fixture
def gguf_file(bad_files: Mapping[str, Any], tmp_path: Path) -> Callable[[str], Refused]:
    def written(case: str) -> Refused:
        fields, field, problem = bad_files[case]
        path = bad_files["write"](**fields).write(tmp_path / "bad.gguf")
        return Refused(path, frontend.open, field, problem)

    return written


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """``plant(module, check, instead)``: the reader's twin, for the rest of the test."""

    def planted(name: str, check: str, instead: str) -> None:
        module = importlib.import_module(f"inferflux.ir.frontend.{name}")
        source = inspect.getsource(module)
        assert source.count(check) == 1, f"{name} checks {check!r} once"
        whole = compile(source.replace(check, instead), str(module.__file__), "exec")
        codes = {code.co_qualname: code for code in _codes(whole)}
        for function in _functions(module):
            monkeypatch.setattr(function, "__code__", codes[function.__qualname__])

    return planted


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    own = [value for value in vars(module).values() if inspect.getmodule(value) is module]
    inner = [value for each in own if inspect.isclass(each) for value in vars(each).values()]
    for value in (*own, *inner):
        if inspect.isfunction(value) and value.__code__.co_filename == module.__file__:
            yield value


@pytest.mark.parametrize("name", GGUF)
def test_a_bad_gguf_file_is_refused_and_would_not_be_without_its_check(gguf_file, plant, name):
    case, module, check, instead, then = GGUF[name]
    bad = gguf_file(case)
    assert bad.is_right(bad.outcome())
    plant(module, check, instead)
    outcome = bad.outcome()
    assert then in outcome
    assert not bad.is_right(outcome)


@pytest.mark.parametrize("name", SAFETENSORS)
def test_a_bad_safetensors_file_is_refused_and_would_not_be_without_its_check(
    tmp_path, plant, name
):
    content, field, module, check, instead, then = SAFETENSORS[name]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    bad = Refused(path, safetensors.open_file, field)
    before = bad.outcome()
    assert bad.is_right(before)
    plant(module, check, instead)
    outcome = bad.outcome()
    assert then in outcome
    assert outcome != before


def test_the_classes_are_all_there():
    """26 of llama.cpp's tests, and the one they took out again: what it asks for broke them."""
    assert len(GGUF) == 26 + 1
    assert len(SAFETENSORS) >= 10

"""A place in a GGUF file that moves forward and refuses to leave the file."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np

from inferflux.ir.frontend.gguf.errors import GGUFError
from inferflux.ir.frontend.limits import MAX_STRINGS
from inferflux.ir.frontend.source import UnsupportedModel

Array = np.ndarray[Any, np.dtype[Any]]

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class Cursor:
    """Reads little-endian values, one after the other; what does not fit is named and refused."""

    __slots__ = ("_mapped", "_strings_left", "path", "position", "size")

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path = path
        self._mapped = mapped
        self._strings_left = MAX_STRINGS
        self.size = len(mapped)
        self.position = 0

    def u32(self, field: str) -> int:
        value: int = _U32.unpack_from(self._mapped, self._take(4, field))[0]
        return value

    def u64(self, field: str) -> int:
        value: int = _U64.unpack_from(self._mapped, self._take(8, field))[0]
        return value

    def raw(self, nbytes: int, field: str) -> bytes:
        start = self._take(nbytes, field)
        return self._mapped[start : start + nbytes]

    def numbers(self, dtype: np.dtype[Any], count: int, field: str) -> Array:
        """A read-only view, so a claimed count costs no memory."""
        start = self._take(count * dtype.itemsize, field)
        return np.frombuffer(self._mapped, dtype, count, start)

    def string(self, field: str, max_bytes: int | None = None) -> str:
        start = self.position
        length = self.u64(f"{field}.length")
        if max_bytes is not None and length > max_bytes:
            raise self.refuse(f"{field}.length", start, f"is {length}, at most {max_bytes} allowed")
        try:
            return self.raw(length, field).decode()
        except UnicodeDecodeError as error:
            raise self.refuse(field, start + 8, f"is not UTF-8: {error.reason}") from None

    def strings(self, count: int, field: str) -> tuple[str, ...]:
        """An array of strings, which is where the time of opening a file goes: a tight loop."""
        self._claim_strings(count, field)
        mapped, end, position = self._mapped, self.size, self.position
        unpack = _U64.unpack_from
        found: list[str] = []
        try:
            for _ in range(count):
                start = position + 8
                length = unpack(mapped, position)[0] if start <= end else end
                if start + length > end:
                    raise self._truncated(f"{field}[{len(found)}]", position, 8 + length)
                found.append(mapped[start : start + length].decode())
                position = start + length
        except UnicodeDecodeError as error:
            problem = f"is not UTF-8: {error.reason}"
            raise self.refuse(f"{field}[{len(found)}]", position + 8, problem) from None
        self.position = position
        return tuple(found)

    def refuse(self, field: str, offset: int, problem: str) -> GGUFError:
        return GGUFError(self.path, field, offset, problem)

    def unsupported(self, field: str, offset: int, problem: str) -> UnsupportedModel:
        return UnsupportedModel(self.path, field, offset, problem)

    def _take(self, nbytes: int, field: str) -> int:
        """Claim the next ``nbytes`` and give where they start."""
        start = self.position
        if nbytes > self.size - start:
            raise self._truncated(field, start, nbytes)
        self.position = start + nbytes
        return start

    def _claim_strings(self, count: int, field: str) -> None:
        if count > self._strings_left:
            problem = f"has {count} strings, more than the {MAX_STRINGS} a file may hold"
            raise self.refuse(field, self.position, problem)
        if count * 8 > self.size - self.position:
            raise self._truncated(field, self.position, count * 8)
        self._strings_left -= count

    def _truncated(self, field: str, offset: int, needed: int) -> GGUFError:
        left = self.size - offset
        problem = (
            f"needs {needed} bytes and the file has {left} left; "
            "it is cut short or damaged: get it again"
        )
        return self.refuse(field, offset, problem)

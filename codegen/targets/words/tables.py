"""Tables of 16 bytes, looked up by 64 indices at once."""

from __future__ import annotations

from collections.abc import Sequence

from inferflux.codegen.targets.words.tir import Expr, Words

LINE = 64


class Tables(Words):
    """Where no instruction looks up bytes: each index is compared with all there are."""

    def look_up(self, table: Sequence[int], index: Expr) -> Expr:
        """table[index], 64 times.  Indices are below 16, entries unsigned bytes."""
        found = self._bytes(table[0], LINE)
        for place, entry in enumerate(table[1:], start=1):
            is_here = index == self._bytes(place, LINE)
            found = self._t.Select(is_here, self._bytes(entry, LINE), found)
        return found

    def _bytes(self, x: int, count: int) -> Expr:
        return self._t.broadcast(self._t.uint8(x), count)


class ShuffledTables(Tables):
    """One instruction for so many bytes, its table in every 16 of them."""

    _instruction: str
    _lanes: int

    def look_up(self, table: Sequence[int], index: Expr) -> Expr:
        parts = []
        for start in range(0, LINE, self._lanes):
            places = list(range(start, start + self._lanes))
            parts.append(self._shuffled(table, self._t.Shuffle([index], places)))
        return self._t.Shuffle(parts, list(range(LINE)))

    def _shuffled(self, table: Sequence[int], index: Expr) -> Expr:
        entries = [self._t.uint8(entry) for entry in table] * (self._lanes // len(table))
        vector = self._t.Shuffle(entries, list(range(self._lanes)))
        return self._call(self._instruction, vector, index, dtype=f"uint8x{self._lanes}")


class Pshufb512(ShuffledTables):
    """vpshufb of AVX-512."""

    _instruction = "llvm.x86.avx512.pshuf.b.512"
    _lanes = 64


class Pshufb256(ShuffledTables):
    """vpshufb of AVX2."""

    _instruction = "llvm.x86.avx2.pshuf.b"
    _lanes = 32


class Tbl(ShuffledTables):
    """tbl of AArch64."""

    _instruction = "llvm.aarch64.neon.tbl1.v16i8"
    _lanes = 16

"""Making vectors, and what becomes of a whole one."""

from __future__ import annotations

from inferflux.codegen.targets.words.tir import LANES, Expr, Words


class Lanes(Words):
    """Vectors of 16 from numbers, and numbers from vectors."""

    def lanes(self, at: Expr) -> Expr:
        return self._t.ramp(at, 1, LANES)

    def splat(self, x: Expr, count: int = LANES) -> Expr:
        return self._t.broadcast(x, count)

    def largest(self, x: Expr) -> Expr:
        return self._call("llvm.vector.reduce.fmax", x, dtype="float32")

    def smallest(self, x: Expr) -> Expr:
        """The least of 16 integers."""
        return self._call("llvm.vector.reduce.smin", x, dtype="int32")

    def any_of(self, x: Expr) -> Expr:
        return self._call("llvm.vector.reduce.or", x, dtype="bool")

    def sum_of(self, x: Expr) -> Expr:
        """Lane after lane: without leave to reassociate, the order is fixed."""
        return self._call("llvm.vector.reduce.fadd", self._t.float32(0), x, dtype="float32")

    def total_of(self, x: Expr) -> Expr:
        return self._call("llvm.vector.reduce.add", x, dtype="int32")

    def where(self, condition: Expr, yes: Expr, no: Expr) -> Expr:
        return self._t.Select(condition, yes, no)

    def between(self, start: Expr, first: Expr, end: Expr) -> Expr:
        """Of the 16 numbers from ``start``: which are in first..end."""
        index = self._t.ramp(start, 1, LANES)
        return self._t.And(index >= self.splat(first), index < self.splat(end))

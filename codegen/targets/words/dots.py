"""Dot products of packed integers: exact on every ISA, by what each multiplies fastest."""

from __future__ import annotations

from collections.abc import Mapping

from inferflux.codegen.targets.words.memory import Memory
from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr, Words


class FloatDots(Words):
    """By float32, which holds these sums exactly: they stay below 2**24."""

    def dot_groups(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr
    ) -> Expr:
        """total + for each lane, 4 unsigned weights of a group times 4 signed values."""
        memory = Memory(self._t)
        for byte in range(4):
            value = self._t.broadcast(self._t.cast(values[at + byte], "float32"), LANES)
            unsigned = memory.byte_lanes(weights, group * 64, self._t.int32(8 * byte), 255)
            total = total + unsigned * value
        return total


class VnniDots(Words):
    """By AVX-512 VNNI: four u8 times four i8 into an i32, 16 lanes at once."""

    def dot_groups(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr
    ) -> Expr:
        """As ``FloatDots.dot_groups``."""
        four = self._t.broadcast(self._raw(values, at, 4, "int32"), LANES)
        unsigned = weights[self._t.ramp(group * 64, 1, 64)]
        signed = self._t.reinterpret(four, dtype="int8x64")
        name = "llvm.x86.avx512.vpdpbusd.512"
        return self._call(name, total, unsigned, signed, dtype="int32x16")


DOTS: Mapping[str, type[Words]] = {"float": FloatDots, "vpdpbusd": VnniDots}

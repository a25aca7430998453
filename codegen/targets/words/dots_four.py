"""Dot products by instructions that multiply four bytes by four bytes into a 32-bit lane."""

from __future__ import annotations

from inferflux.codegen.targets.words.dots import Dots
from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr


class FourWayDots(Dots):
    """One instruction for so many lanes of a group; its weights are unsigned, or all are signed."""

    _instruction: str
    _lanes: int
    _is_signed = False

    def dot_group(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr, bits: int
    ) -> Expr:
        count = 4 * self._lanes
        load = self._signed if self._are_signed(bits) else self._unsigned
        parts = []
        for index in range(LANES // self._lanes):
            factors = (
                load(weights, group * 64 + index * count, count),
                self._four(values, at, count),
            )
            part = self._part(total, index, self._lanes)
            parts.append(
                self._call(self._instruction, part, *factors, dtype=f"int32x{self._lanes}")
            )
        return self._joined(parts, LANES)

    def _are_signed(self, bits: int) -> bool:
        return self._is_signed and bits == 8


class Vnni512Dots(FourWayDots):
    """vpdpbusd of AVX-512 VNNI."""

    _instruction = "llvm.x86.avx512.vpdpbusd.512"
    _lanes = 16

    def dot_of_two(self, total: Expr, weights: Expr, values: Expr) -> Expr:
        pairs = (self._t.reinterpret(each, dtype="int16x32") for each in (weights, values))
        return self._call("llvm.x86.avx512.vpdpwssd.512", total, *pairs, dtype="int32x16")


class Vnni256Dots(FourWayDots):
    """vpdpbusd of AVX-VNNI, or of AVX-512 VNNI at half its width."""

    _instruction = "llvm.x86.avx512.vpdpbusd.256"
    _lanes = 8


class SdotDots(FourWayDots):
    """sdot of AArch64, which knows no unsigned weights."""

    _instruction = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    _lanes = 4
    _is_signed = True


class UsdotDots(FourWayDots):
    """usdot of AArch64 with i8mm."""

    _instruction = "llvm.aarch64.neon.usdot.v4i32.v16i8"
    _lanes = 4

"""Dot products of packed integers on AArch64: sdot, and usdot where there is i8mm."""

from __future__ import annotations

from inferflux.codegen.targets.words.dots import Dots
from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr


class SdotDots(Dots):
    """sdot: four i8 times four i8 into an i32, 4 lanes at once."""

    _instruction = "sdot"

    def dot_group(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr, bits: int
    ) -> Expr:
        quarters = []
        for quarter in range(4):
            factors = (
                self._weights(weights, group * 64 + quarter * 16, bits),
                self._four(values, at, 16),
            )
            name = f"llvm.aarch64.neon.{self._instruction}.v4i32.v16i8"
            part = self._part(total, quarter, 4)
            quarters.append(self._call(name, part, *factors, dtype="int32x4"))
        return self._joined(quarters, LANES)

    def _weights(self, weights: Buffer, at: Expr, bits: int) -> Expr:
        return self._signed(weights, at, 16) if bits == 8 else self._unsigned(weights, at, 16)

    def _are_signed(self, bits: int) -> bool:
        return bits == 8


class UsdotDots(SdotDots):
    """usdot: the same of u8 times i8, so that weights stay as they are stored."""

    _instruction = "usdot"

    def _weights(self, weights: Buffer, at: Expr, bits: int) -> Expr:
        return self._unsigned(weights, at, 16)

    def _are_signed(self, bits: int) -> bool:
        return False

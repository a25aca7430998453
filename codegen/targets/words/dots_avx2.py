"""Dot products on AVX2, which multiplies two bytes by two bytes into 16 bits and saturates."""

from __future__ import annotations

from inferflux.codegen.targets.words.dots import Dots
from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr


class MaddDots(Dots):
    """vpmaddubsw, 16 lanes of 16 bits at once.

    Below 16, eight groups of products fit an i16: 2 * 15 * 127 * 8 = 30480. Sums stay there, a lane
    for each pair of columns, until the block ends. Below 128 one does: 2 * 127 * 127 = 32258. Of
    whole bytes not even two products would fit, but |w| <= 128 times x under w's sign does:
    2 * 128 * 127 = 32512. Those are added as i32.
    """

    def dot_group(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr, bits: int
    ) -> Expr:
        multiply = self._of_bytes if bits == 8 else self._of_unsigned
        lanes, _ = self._sum(bits)
        halves = []
        for half in range(2):
            products = multiply(weights, group * 64 + half * 32, values, at)
            added = products if self._fits_16(bits) else self._pairs(products)
            halves.append(self._part(total, half, lanes // 2) + added)
        return self._joined(halves, lanes)

    def dot_floats(self, total: Expr, correction: Expr, bits: int, offset: int) -> Expr:
        if self._fits_16(bits):
            total = self._joined([self._pairs(self._part(total, h, 16)) for h in range(2)], LANES)
        return super().dot_floats(total, correction, bits, offset)

    def _of_unsigned(self, weights: Buffer, at_weights: Expr, values: Buffer, at: Expr) -> Expr:
        return self._products(self._unsigned(weights, at_weights, 32), self._four(values, at, 32))

    def _of_bytes(self, weights: Buffer, at_weights: Expr, values: Buffer, at: Expr) -> Expr:
        weight = self._signed(weights, at_weights, 32)
        magnitude = self._t.max(weight, self._t.broadcast(self._t.int8(0), 32) - weight)
        value = self._call(
            "llvm.x86.avx2.psign.b", self._four(values, at, 32), weight, dtype="int8x32"
        )
        return self._products(self._t.reinterpret(magnitude, dtype="uint8x32"), value)

    def _products(self, unsigned: Expr, signed: Expr) -> Expr:
        return self._call("llvm.x86.avx2.pmadd.ub.sw", unsigned, signed, dtype="int16x16")

    def _pairs(self, products: Expr) -> Expr:
        """Neighbours added: i16x16 -> i32x8."""
        ones = self._t.broadcast(self._t.int16(1), 16)
        return self._call("llvm.x86.avx2.pmadd.wd", products, ones, dtype="int32x8")

    def _sum(self, bits: int) -> tuple[int, str]:
        return (2 * LANES, "int16") if self._fits_16(bits) else (LANES, "int32")

    def _fits_16(self, bits: int) -> bool:
        return bits <= 4

    def _are_signed(self, bits: int) -> bool:
        return bits == 8

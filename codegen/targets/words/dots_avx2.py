"""Dot products on AVX2, which multiplies two bytes by two bytes into 16 bits and saturates."""

from __future__ import annotations

from inferflux.codegen.targets.words.dots import Dots
from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr


class MaddDots(Dots):
    """vpmaddubsw, 16 lanes of 16 bits at once.

    Below 16, eight groups of products fit an i16: 2 * 15 * 127 * 8 = 30480. Sums stay there, a lane
    for each pair of columns, until the block ends. Of whole bytes not even two products would fit,
    but |w| <= 128 times x under w's sign does: 2 * 128 * 127 = 32512; those are added as i32.
    """

    def dot_group(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr, bits: int
    ) -> Expr:
        add = self._add_pairs if bits == 4 else self._add_bytes
        lanes, _ = self._sum(bits)
        halves = [
            add(self._part(total, half, lanes // 2), weights, group * 64 + half * 32, values, at)
            for half in range(2)
        ]
        return self._joined(halves, lanes)

    def dot_floats(self, total: Expr, correction: Expr, bits: int) -> Expr:
        if bits == 4:
            total = self._joined([self._pairs(self._part(total, h, 16)) for h in range(2)], LANES)
        return super().dot_floats(total, correction, bits)

    def _add_pairs(
        self, total: Expr, weights: Buffer, at_weights: Expr, values: Buffer, at: Expr
    ) -> Expr:
        unsigned = self._unsigned(weights, at_weights, 32)
        return total + self._products(unsigned, self._four(values, at, 32))

    def _add_bytes(
        self, total: Expr, weights: Buffer, at_weights: Expr, values: Buffer, at: Expr
    ) -> Expr:
        weight = self._signed(weights, at_weights, 32)
        magnitude = self._t.max(weight, self._t.broadcast(self._t.int8(0), 32) - weight)
        value = self._call(
            "llvm.x86.avx2.psign.b", self._four(values, at, 32), weight, dtype="int8x32"
        )
        products = self._products(self._t.reinterpret(magnitude, dtype="uint8x32"), value)
        return total + self._pairs(products)

    def _products(self, unsigned: Expr, signed: Expr) -> Expr:
        return self._call("llvm.x86.avx2.pmadd.ub.sw", unsigned, signed, dtype="int16x16")

    def _pairs(self, products: Expr) -> Expr:
        """Neighbours added: i16x16 -> i32x8."""
        ones = self._t.broadcast(self._t.int16(1), 16)
        return self._call("llvm.x86.avx2.pmadd.wd", products, ones, dtype="int32x8")

    def _sum(self, bits: int) -> tuple[int, str]:
        return (2 * LANES, "int16") if bits == 4 else (LANES, "int32")

    def _are_signed(self, bits: int) -> bool:
        return bits == 8

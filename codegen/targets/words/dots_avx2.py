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

    What adds neighbours multiplies them, too: by the factor of their block, where it has one.
    """

    def dot_group(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr, bits: int
    ) -> Expr:
        return self.dot_scaled(total, weights, group, values, at, bits, self._ones())

    def dot_scaled(
        self,
        total: Expr,
        weights: Buffer,
        group: Expr,
        values: Buffer,
        at: Expr,
        bits: int,
        factor: Expr,
    ) -> Expr:
        multiply = self._of_bytes if bits == 8 else self._of_unsigned
        products = self._joined(
            [multiply(weights, group * 64 + half * 32, values, at) for half in range(2)], 32
        )
        return total + (products if self._fits_16(bits) else self._pairs(products, factor))

    def dot_floats(self, total: Expr, correction: Expr, bits: int, offset: int) -> Expr:
        if self._fits_16(bits):
            total = self._pairs(total, self._ones())
        return super().dot_floats(total, correction, bits, offset)

    def add_scaled(self, scaled: Expr, total: Expr, factor: Expr, bits: int) -> Expr:
        return scaled + (self._pairs(total, factor) if self._fits_16(bits) else total)

    def scaled_floats(self, scaled: Expr) -> Expr:
        return self._t.cast(scaled, "float32x16")

    def factor_of_bytes(self, buffer: Buffer, at: Expr) -> Expr:
        return self._twice(self._raw(buffer, at, LANES, "int8x16"))

    def factor_of_nibbles(self, buffer: Buffer, at: Expr) -> Expr:
        lower = self._t.broadcast(self._t.uint8(15), LANES)
        return self._twice(self._t.bitwise_and(buffer[self._t.ramp(at, 1, LANES)], lower))

    def dot_of_two(self, total: Expr, weights: Expr, values: Expr) -> Expr:
        pairs = (self._t.reinterpret(each, dtype="int16x32") for each in (weights, values))
        return total + self._pairs(*pairs)

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

    def _pairs(self, x: Expr, y: Expr) -> Expr:
        """Neighbours of x times those of y, added: i16x32 -> i32x16."""
        parts = [
            self._call(
                "llvm.x86.avx2.pmadd.wd",
                self._part(x, half, 16),
                self._part(y, half, 16),
                dtype="int32x8",
            )
            for half in range(2)
        ]
        return self._joined(parts, LANES)

    def _ones(self) -> Expr:
        return self._t.broadcast(self._t.int16(1), 32)

    def _twice(self, numbers: Expr) -> Expr:
        """Each beside itself, for what neighbours add up to: i16x32."""
        return self._t.cast(
            self._t.Shuffle([numbers, numbers], [i // 2 for i in range(32)]), "int16x32"
        )

    def _sum(self, bits: int) -> tuple[int, str]:
        return (2 * LANES, "int16") if self._fits_16(bits) else (LANES, "int32")

    def _scaled(self) -> str:
        return "int32"

    def _factor(self) -> tuple[int, str]:
        return 2 * LANES, "int16"

    def _fits_16(self, bits: int) -> bool:
        return bits <= 4

    def _are_signed(self, bits: int) -> bool:
        return bits == 8

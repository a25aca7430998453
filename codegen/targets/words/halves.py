"""Between f16 and f32, in hardware where it can, else exactly, by integer arithmetic."""

from __future__ import annotations

from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr, Words


class NativeHalves(Words):
    """The machine converts vectors of f16: F16C, AVX-512, every AArch64."""

    def half_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 halves at a byte, as floats.  (Weights: no infinity, no NaN.)"""
        return self._t.cast(self._raw(buffer, at, 32, "float16x16"), "float32x16")

    def half_scalar(self, buffer: Buffer, at: Expr) -> Expr:
        return self._t.cast(self._raw(buffer, at, 2, "float16"), "float32")

    def f32_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 elements of a page, as floats."""
        return self._t.cast(buffer[self._t.ramp(at, 1, LANES)], "float32x16")

    def stored(self, x: Expr, buffer: Buffer) -> Expr:
        """16 floats as elements of a page, halves rounded to even."""
        return self._t.cast(x, f"{buffer.dtype}x{LANES}")


class ComputedHalves(Words):
    """The same words without such instructions."""

    def half_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        return self._widened(self._t.cast(self._raw(buffer, at, 32, "uint16x16"), "int32x16"))

    def half_scalar(self, buffer: Buffer, at: Expr) -> Expr:
        bits = self._t.cast(self._raw(buffer, at, 2, "uint16"), "int32")
        magnitude = self._t.reinterpret(self._t.shift_left(bits & 0x7FFF, 13), dtype="float32")
        scaled = self._t.reinterpret(magnitude * self._t.float32(2.0**112), dtype="int32")
        sign = self._t.shift_left(bits & 0x8000, 16)
        return self._t.reinterpret(scaled | sign, dtype="float32")

    def f32_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        vector = buffer[self._t.ramp(at, 1, LANES)]
        if buffer.dtype == "float32":
            return vector
        if buffer.dtype == "int8":
            return self._t.cast(vector, f"float32x{LANES}")
        bits = self._t.reinterpret(vector, dtype="uint16x16")
        return self._widened(self._t.cast(bits, "int32x16"))

    def stored(self, x: Expr, buffer: Buffer) -> Expr:
        if buffer.dtype == "float32":
            return x
        return self._t.reinterpret(self._t.cast(self._narrowed(x), "uint16x16"), dtype="float16x16")

    def _widened(self, bits: Expr) -> Expr:
        """f16 in the low 16 bits to f32: shifted into place, 2**112 mends the exponent exactly."""
        magnitude = self._t.shift_left(bits & self._integer(0x7FFF), self._integer(13))
        scaled = self._t.reinterpret(magnitude, dtype="float32x16") * self._float(2.0**112)
        sign = self._t.shift_left(bits & self._integer(0x8000), self._integer(16))
        return self._t.reinterpret(
            self._t.reinterpret(scaled, dtype="int32x16") | sign, dtype="float32x16"
        )

    def _narrowed(self, x: Expr) -> Expr:
        """f32 to the bits of f16, to nearest even; what is too large becomes infinity.

        Normal halves round by integer addition, a carry climbing into the exponent; below 2**-14
        the float adder rounds, when 0.5 is added.
        """
        bits = self._t.reinterpret(x, dtype="int32x16")
        magnitude = bits & self._integer(0x7FFFFFFF)
        odd = self._t.shift_right(magnitude, self._integer(13)) & self._integer(1)
        normal = self._t.shift_right(magnitude - self._integer(0x37FFF001) + odd, self._integer(13))
        shifted = self._t.reinterpret(magnitude, dtype="float32x16") + self._float(0.5)
        tiny = self._t.reinterpret(shifted, dtype="int32x16") - self._integer(0x3F000000)
        large = self._t.min(normal, self._integer(0x7C00))
        finite = self._t.Select(magnitude < self._integer(0x38800000), tiny, large)
        sign = self._t.shift_right(bits, self._integer(16)) & self._integer(0x8000)
        return finite | sign

"""Reading packed weights, which are bytes to a step."""

from __future__ import annotations

from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr, Words


class Memory(Words):
    """What lies at a byte of a buffer of bytes."""

    def bytes64(self, at: Expr) -> Expr:
        return self._t.ramp(at, 1, 64)

    def f32_of(self, buffer: Buffer, at: Expr) -> Expr:
        """16 floats at a byte."""
        return self._raw(buffer, at, 64, "float32x16")

    def f32_scalar(self, buffer: Buffer, at: Expr) -> Expr:
        return self._raw(buffer, at, 4, "float32")

    def bf16_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 bf16 at a byte, as floats, whose upper halves they are."""
        bits = self._t.cast(self._raw(buffer, at, 32, "uint16x16"), "uint32x16")
        upper = self._t.shift_left(bits, self._t.broadcast(self._t.uint32(16), LANES))
        return self._t.reinterpret(upper, dtype="float32x16")

    def bf16_scalar(self, buffer: Buffer, at: Expr) -> Expr:
        bits = self._t.cast(self._raw(buffer, at, 2, "uint16"), "uint32")
        return self._t.reinterpret(self._t.shift_left(bits, self._t.uint32(16)), dtype="float32")

    def byte_lanes(self, buffer: Buffer, at: Expr, shift: Expr, mask: int) -> Expr:
        """Of 16 groups of 4 bytes: one byte (or nibble) of each, as floats."""
        groups = self._raw(buffer, at, 64, "int32x16")
        chosen = self._t.shift_right(groups, self._t.broadcast(shift, LANES)) & self._integer(mask)
        return self._t.cast(chosen, "float32x16")

    def int8_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 bytes with a sign, as floats."""
        return self._t.cast(self._raw(buffer, at, 16, "int8x16"), "float32x16")

    def nibble_lanes(self, buffer: Buffer, at: Expr, shift: int) -> Expr:
        """Of 16 bytes: the lower (shift 0) or the upper (4) four bits, as floats."""
        both = self._t.cast(buffer[self._t.ramp(at, 1, LANES)], "int32x16")
        chosen = self._t.shift_right(both, self._integer(shift)) & self._integer(15)
        return self._t.cast(chosen, "float32x16")

    def int8_pairs(self, buffer: Buffer, first: Expr, second: Expr) -> Expr:
        """16 bytes with a sign and 16 others: pairs of int16, what is first in the lower half."""
        low, high = (self._raw(buffer, at, 16, "int8x16") for at in (first, second))
        return self._pairs(self._t.cast(low, "int32x16"), self._t.cast(high, "int32x16"))

    def nibble_pairs(self, buffer: Buffer, first: Expr, second: Expr, shift: int) -> Expr:
        """The same of the lower (shift 0) or the upper (4) four bits of bytes."""
        low, high = (
            self._t.shift_right(
                self._t.cast(buffer[self._t.ramp(at, 1, LANES)], "int32x16"), self._integer(shift)
            )
            & self._integer(15)
            for at in (first, second)
        )
        return self._pairs(low, high)

    def _pairs(self, low: Expr, high: Expr) -> Expr:
        return (low & self._integer(0xFFFF)) | self._t.shift_left(high, self._integer(16))

    def exponent_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 powers of two, 2 ** (e - 128), by their e in a byte; the least two are subnormal."""
        e = self._t.cast(buffer[self._t.ramp(at, 1, LANES)], "int32x16")
        one = self._integer(1)
        normal = self._t.shift_left(e - one, self._integer(23))
        subnormal = self._t.shift_left(e + one, self._integer(21))
        bits = self._t.Select(e < self._integer(2), subnormal, normal)
        return self._t.reinterpret(bits, dtype="float32x16")

    def shifted_line(self, buffer: Buffer, at: Expr, shift: Expr) -> Expr:
        """64 bytes as lanes of 32 bits shifted right: a neighbour's bits come in from above."""
        lanes = self._raw(buffer, at, 64, "uint32x16")
        count = self._t.broadcast(self._t.cast(shift, "uint32"), LANES)
        return self._t.reinterpret(self._t.shift_right(lanes, count), dtype="uint8x64")

    def prefetch(self, buffer: Buffer, at: Expr) -> Expr:
        """Ask for the cache line of an element: to read, to keep, of data."""
        return self._prefetch(buffer, at, 0)

    def prefetch_to_write(self, buffer: Buffer, at: Expr) -> Expr:
        return self._prefetch(buffer, at, 1)

    def _prefetch(self, buffer: Buffer, at: Expr, is_written: int) -> Expr:
        hint = self._t.llvm_lookup_intrinsic_id("llvm.prefetch")
        line = self._t.address_of(buffer[at])
        flags = (self._t.int32(is_written), self._t.int32(3), self._t.int32(1))
        return self._t.call_llvm_intrin("void", hint, line, *flags)

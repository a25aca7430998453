"""The words that phase bodies are written in: vector idioms as TIR expressions, per ISA.

A template says ``silu(gate0[lanes(0)])``; what that is in TIR, and which of it is one instruction
on the machine, is said here. Everything is 16 lanes wide; LLVM splits it where registers are
narrower. Nothing calls libm, so that results are the same wherever an ISA's code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

LANES = 16
COUNTER_STRIDE = (
    32  # int32 from one phase's counters to the next: claims and completions, a line each
)

Expr = Any  # a TIR expression
Buffer = Any  # a TIR buffer


def words(*, vnni: bool, native_half: bool) -> Mapping[str, Any]:
    """Names for the text of a step: ``T`` and the words.  Imports TVM.

    Args:
        vnni: the machine multiplies four u8 by four i8 into an i32 (AVX-512 VNNI).
        native_half: the machine converts f16 vectors.
    """
    from tvm.script import tirx

    lanes, numbers, halves = _Lanes(tirx), _Numbers(tirx), _Halves(tirx, native_half)
    integers, workers = _Integers(tirx, vnni), _Workers(tirx)
    named: dict[str, Callable[..., Expr]] = {}
    for family in (lanes, numbers, halves, integers, workers):
        named |= {name: getattr(family, name) for name in dir(family) if not name.startswith("_")}
    return {"T": tirx, **named}


class _Words:
    def __init__(self, tirx: Any) -> None:
        self._t = tirx

    def _call(self, name: str, *args: Expr, dtype: str) -> Expr:
        intrinsic = self._t.llvm_lookup_intrinsic_id(name)
        return self._t.call_llvm_pure_intrin(intrinsic, *args, dtype=dtype)

    def _float(self, x: float) -> Expr:
        return self._t.broadcast(self._t.float32(x), LANES)

    def _integer(self, x: int) -> Expr:
        return self._t.broadcast(self._t.int32(x), LANES)

    def _raw(self, buffer: Buffer, at: Expr, count: int, dtype: str) -> Expr:
        return self._t.reinterpret(buffer[self._t.ramp(at, 1, count)], dtype=dtype)


class _Lanes(_Words):
    """Making vectors, and what becomes of a whole one."""

    def lanes(self, at: Expr) -> Expr:
        return self._t.ramp(at, 1, LANES)

    def bytes64(self, at: Expr) -> Expr:
        return self._t.ramp(at, 1, 64)

    def splat(self, x: Expr, count: int = LANES) -> Expr:
        return self._t.broadcast(x, count)

    def largest(self, x: Expr) -> Expr:
        return self._call("llvm.vector.reduce.fmax", x, dtype="float32")

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

    def f32_of(self, buffer: Buffer, at: Expr) -> Expr:
        """16 floats at a byte."""
        return self._raw(buffer, at, 64, "float32x16")

    def f32_scalar(self, buffer: Buffer, at: Expr) -> Expr:
        return self._raw(buffer, at, 4, "float32")

    def f32_vector(self, x: Expr) -> Expr:
        return self._t.cast(x, "float32x16")


class _Numbers(_Words):
    """Rounding and functions of a float."""

    def rounded(self, x: Expr) -> Expr:
        """To int32, halves to even, for |x| < 2**22.

        Beside 1.5 * 2**23 only whole numbers fit, so the adder rounds; the bits hold the integer.
        """
        shifted = x + self._float(12582912.0)
        return self._t.reinterpret(shifted, dtype="int32x16") - self._integer(0x4B400000)

    def exp(self, x: Expr) -> Expr:
        """e**x, 0 below -87.  x = n ln 2 + r; Cephes' polynomial of r; 2**n by the exponent."""
        power = self.rounded(self._t.min(x, self._float(88.0)) * self._float(1.44269504088896341))
        n = self._t.cast(power, "float32x16")
        r = self._t.min(x, self._float(88.0)) - n * self._float(0.693359375)
        r = r - n * self._float(-2.12194440e-4)
        polynomial = self._float(1.9875691500e-4)
        for coefficient in (
            1.3981999507e-3,
            8.3334519073e-3,
            4.1665795894e-2,
            1.6666665459e-1,
            5.0000001201e-1,
        ):
            polynomial = polynomial * r + self._float(coefficient)
        exponent = self._t.shift_left(power + self._integer(127), self._integer(23))
        scale = self._t.reinterpret(exponent, dtype="float32x16")
        value = (polynomial * r * r + r + self._float(1.0)) * scale
        return self._t.Select(x < self._float(-87.0), self._float(0.0), value)

    def silu(self, x: Expr) -> Expr:
        return x / (self._float(1.0) + self.exp(self._float(0.0) - x))


class _Halves(_Words):
    """Between f16 and f32, in hardware where it can, else exactly, by integer arithmetic."""

    def __init__(self, tirx: Any, native: bool) -> None:
        super().__init__(tirx)
        self._native = native

    def half_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 halves at a byte, as floats.  (Weights: no infinity, no NaN.)"""
        if self._native:
            return self._t.cast(self._raw(buffer, at, 32, "float16x16"), "float32x16")
        return self._widened(self._t.cast(self._raw(buffer, at, 32, "uint16x16"), "int32x16"))

    def half_scalar(self, buffer: Buffer, at: Expr) -> Expr:
        if self._native:
            return self._t.cast(self._raw(buffer, at, 2, "float16"), "float32")
        bits = self._t.cast(self._raw(buffer, at, 2, "uint16"), "int32")
        magnitude = self._t.reinterpret(self._t.shift_left(bits & 0x7FFF, 13), dtype="float32")
        scaled = self._t.reinterpret(magnitude * self._t.float32(2.0**112), dtype="int32")
        sign = self._t.shift_left(bits & 0x8000, 16)
        return self._t.reinterpret(scaled | sign, dtype="float32")

    def f32_lanes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 elements of a page, as floats."""
        vector = buffer[self._t.ramp(at, 1, LANES)]
        if buffer.dtype == "float32":
            return vector
        if self._native:
            return self._t.cast(vector, "float32x16")
        bits = self._t.reinterpret(vector, dtype="uint16x16")
        return self._widened(self._t.cast(bits, "int32x16"))

    def stored(self, x: Expr, buffer: Buffer) -> Expr:
        """16 floats as elements of a page, halves rounded to even."""
        if buffer.dtype == "float32":
            return x
        if self._native:
            return self._t.cast(x, "float16x16")
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


class _Integers(_Words):
    """Packed integers and their dot products."""

    def __init__(self, tirx: Any, vnni: bool) -> None:
        super().__init__(tirx)
        self._vnni = vnni

    def byte_lanes(self, buffer: Buffer, at: Expr, shift: Expr, mask: int) -> Expr:
        """Of 16 groups of 4 bytes: one byte (or nibble) of each, as floats."""
        groups = self._raw(buffer, at, 64, "int32x16")
        chosen = self._t.shift_right(groups, self._t.broadcast(shift, LANES)) & self._integer(mask)
        return self._t.cast(chosen, "float32x16")

    def dot_groups(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr
    ) -> Expr:
        """total + for each lane, 4 unsigned weights of a group times 4 signed values."""
        if self._vnni:
            four = self._t.broadcast(self._raw(values, at, 4, "int32"), LANES)
            unsigned = weights[self._t.ramp(group * 64, 1, 64)]
            signed = self._t.reinterpret(four, dtype="int8x64")
            name = "llvm.x86.avx512.vpdpbusd.512"
            return self._call(name, total, unsigned, signed, dtype="int32x16")
        for byte in range(4):  # float32 holds these sums exactly: they stay below 2**24
            value = self._t.broadcast(self._t.cast(values[at + byte], "float32"), LANES)
            unsigned = self.byte_lanes(weights, group * 64, self._t.int32(8 * byte), 255)
            total = total + unsigned * value
        return total

    def prefetch(self, buffer: Buffer, at: Expr) -> Expr:
        """Ask for the cache line at a byte: to read, to keep, of data."""
        hint = self._t.llvm_lookup_intrinsic_id("llvm.prefetch")
        line = self._t.address_of(buffer[at])
        flags = (self._t.int32(0), self._t.int32(3), self._t.int32(1))
        return self._t.call_llvm_intrin("void", hint, line, *flags)


class _Workers(_Words):
    """Sharing the pieces of a phase (sync.ll.j2), and numbers that differ by layer."""

    def claim(self, sync: Buffer, phase: Expr) -> Expr:
        return self._t.call_extern("int32", "inferflux_claim", self._counter(sync, phase, 0))

    def finish(self, sync: Buffer, phase: Expr) -> Expr:
        return self._t.call_extern("void", "inferflux_finish", self._counter(sync, phase, 16))

    def wait(self, sync: Buffer, phase: Expr, pieces: Expr) -> Expr:
        counter = self._counter(sync, phase, 16)
        return self._t.call_extern("void", "inferflux_wait", counter, pieces)

    def choose(self, index: Expr, values: Sequence[int | float]) -> Expr:
        """values[index], for a short list of constants of one type."""
        constant = self._t.float32 if isinstance(values[0], float) else self._t.int32
        chosen = constant(values[-1])
        for position in range(len(values) - 2, -1, -1):
            chosen = self._t.if_then_else(index == position, constant(values[position]), chosen)
        return chosen

    def _counter(self, sync: Buffer, phase: Expr, offset: int) -> Expr:
        return self._t.address_of(sync[phase * COUNTER_STRIDE + offset])

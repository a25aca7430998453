"""The words that phase bodies are written in: vector idioms as TIR expressions, per ISA.

A template says ``silu(gate0[lanes(0)])``; what that is in TIR, and which of it is one instruction
on the machine, is said here. Everything is 16 lanes wide; LLVM splits it where registers are
narrower. Nothing calls libm, so that results are the same wherever an ISA's code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

LANES = 16

Expr = Any  # a TIR expression
Buffer = Any  # a TIR buffer


def words(*, vnni: bool, native_half: bool) -> Mapping[str, Any]:
    """Names for the text of a step: ``T`` and the words.  Imports TVM.

    Args:
        vnni: the machine multiplies four u8 by four i8 into an i32 (AVX-512 VNNI).
        native_half: the machine converts f16 vectors.
    """
    from tvm.script import tirx as T  # noqa: N812  TVM's own name for it

    def call(name: str, *args: Expr, dtype: str) -> Expr:
        return T.call_llvm_pure_intrin(T.llvm_lookup_intrinsic_id(name), *args, dtype=dtype)

    def lanes(at: Expr, count: int = LANES) -> Expr:
        return T.ramp(at, 1, count)

    def splat(x: Expr, count: int = LANES) -> Expr:
        return T.broadcast(x, count)

    def constant(x: float) -> Expr:
        return T.broadcast(T.float32(x), LANES)

    def integer(x: int) -> Expr:
        return T.broadcast(T.int32(x), LANES)

    def largest(x: Expr) -> Expr:
        return call("llvm.vector.reduce.fmax", x, dtype="float32")

    def sum_of(x: Expr) -> Expr:
        return call("llvm.vector.reduce.fadd", T.float32(0), x, dtype="float32")

    def total_of(x: Expr) -> Expr:
        return call("llvm.vector.reduce.add", x, dtype="int32")

    def where(condition: Expr, yes: Expr, no: Expr) -> Expr:
        return T.Select(condition, yes, no)

    def between(start: Expr, first: Expr, end: Expr) -> Expr:
        """Of the 16 numbers from ``start``: which are in first..end."""
        index = T.ramp(start, 1, LANES)
        return T.And(index >= splat(first), index < splat(end))

    def f32_vector(x: Expr) -> Expr:
        return T.cast(x, "float32x16")

    def rounded(x: Expr) -> Expr:
        """To int32, halves to even, for |x| < 2**22: the adder rounds where only ones fit beside 1.5 * 2**23."""
        return T.reinterpret(x + constant(12582912.0), dtype="int32x16") - integer(0x4B400000)

    def exp(x: Expr) -> Expr:
        """e**x, 0 below -87: x = n ln 2 + r, then Cephes' polynomial of r, then 2**n by exponent."""
        clamped = T.min(x, constant(88.0))
        power = rounded(clamped * constant(1.44269504088896341))
        n = f32_vector(power)
        r = clamped - n * constant(0.693359375) - n * constant(-2.12194440e-4)
        polynomial = constant(1.9875691500e-4)
        for coefficient in (
            1.3981999507e-3,
            8.3334519073e-3,
            4.1665795894e-2,
            1.6666665459e-1,
            0.5,
        ):
            polynomial = polynomial * r + constant(coefficient)
        scale = T.reinterpret(T.shift_left(power + integer(127), integer(23)), dtype="float32x16")
        return T.Select(
            x < constant(-87.0), constant(0.0), (polynomial * r * r + r + constant(1.0)) * scale
        )

    def silu(x: Expr) -> Expr:
        return x / (constant(1.0) + exp(constant(0.0) - x))

    def raw(buffer: Buffer, at: Expr, count: int, dtype: str) -> Expr:
        return T.reinterpret(buffer[T.ramp(at, 1, count)], dtype=dtype)

    def f32_of(buffer: Buffer, at: Expr) -> Expr:
        """16 floats at a byte."""
        return raw(buffer, at, 64, "float32x16")

    def f32_scalar(buffer: Buffer, at: Expr) -> Expr:
        return raw(buffer, at, 4, "float32")

    def widened(bits: Expr, count: int) -> Expr:
        """f16, as 16 bits in 32, to f32: shift into place, and 2**112 mends the exponent (exactly)."""
        ints = f"int32x{count}" if count > 1 else "int32"
        floats = f"float32x{count}" if count > 1 else "float32"

        def same(x: Expr) -> Expr:
            return T.broadcast(x, count) if count > 1 else x

        magnitude = T.reinterpret(
            T.shift_left(bits & same(T.int32(0x7FFF)), same(T.int32(13))), dtype=floats
        )
        scaled = T.reinterpret(magnitude * same(T.float32(2.0**112)), dtype=ints)
        sign = T.shift_left(bits & same(T.int32(0x8000)), same(T.int32(16)))
        return T.reinterpret(scaled | sign, dtype=floats)

    def half_lanes(buffer: Buffer, at: Expr) -> Expr:
        """16 halves at a byte, as floats.  (Weights: no infinity, no NaN.)"""
        if native_half:
            return T.cast(raw(buffer, at, 32, "float16x16"), "float32x16")
        return widened(T.cast(raw(buffer, at, 32, "uint16x16"), "int32x16"), LANES)

    def half_scalar(buffer: Buffer, at: Expr) -> Expr:
        if native_half:
            return T.cast(raw(buffer, at, 2, "float16"), "float32")
        return widened(T.cast(raw(buffer, at, 2, "uint16"), "int32"), 1)

    def f32_lanes(buffer: Buffer, at: Expr) -> Expr:
        """16 elements of a page, as floats."""
        vector = buffer[lanes(at)]
        if buffer.dtype == "float32":
            return vector
        if native_half:
            return T.cast(vector, "float32x16")
        return widened(T.cast(T.reinterpret(vector, dtype="uint16x16"), "int32x16"), LANES)

    def stored(x: Expr, buffer: Buffer) -> Expr:
        """16 floats as elements of a page, halves rounded to even."""
        if buffer.dtype == "float32":
            return x
        if native_half:
            return T.cast(x, "float16x16")
        return T.reinterpret(T.cast(narrowed(x), "uint16x16"), dtype="float16x16")

    def narrowed(x: Expr) -> Expr:
        """f32 to the bits of f16, to nearest even; what is too large becomes infinity.

        Normal halves round by integer addition, a carry climbing into the exponent; below 2**-14 the
        float adder rounds, when 0.5 is added.
        """
        bits = T.reinterpret(x, dtype="int32x16")
        magnitude = bits & integer(0x7FFFFFFF)
        odd = T.shift_right(magnitude, integer(13)) & integer(1)
        normal = T.shift_right(magnitude - integer(0x37FFF001) + odd, integer(13))
        tiny = T.reinterpret(
            T.reinterpret(magnitude, dtype="float32x16") + constant(0.5), dtype="int32x16"
        ) - integer(0x3F000000)
        finite = T.Select(magnitude < integer(0x38800000), tiny, T.min(normal, integer(0x7C00)))
        return finite | (T.shift_right(bits, integer(16)) & integer(0x8000))

    def byte_lanes(buffer: Buffer, at: Expr, shift: Expr, mask: int) -> Expr:
        """Of 16 groups of 4 bytes: one byte (or nibble) of each, as floats."""
        groups = raw(buffer, at, 64, "int32x16")
        return T.cast(T.shift_right(groups, splat(shift)) & integer(mask), "float32x16")

    def dot_groups(total: Expr, q: Buffer, group: Expr, values: Buffer, at: Expr) -> Expr:
        """total + for each lane, 4 unsigned weights times 4 signed values."""
        if vnni:
            four = splat(raw(values, at, 4, "int32"))
            weights = q[T.ramp(group * 64, 1, 64)]
            four_times_16 = T.reinterpret(four, dtype="int8x64")
            return call(
                "llvm.x86.avx512.vpdpbusd.512", total, weights, four_times_16, dtype="int32x16"
            )
        for byte in range(4):  # exact in float32: below 2**24
            value = T.cast(values[at + byte], "float32")
            total = total + byte_lanes(q, group * 64, T.int32(8 * byte), 255) * splat(value)
        return total

    def prefetch(buffer: Buffer, at: Expr) -> Expr:
        """Ask for the cache line at a byte: to read, to keep, of data."""
        hint = T.llvm_lookup_intrinsic_id("llvm.prefetch")
        return T.call_llvm_intrin(
            "void", hint, T.address_of(buffer[at]), T.int32(0), T.int32(3), T.int32(1)
        )

    def counter(sync: Buffer, phase: Expr, offset: int) -> Expr:
        return T.address_of(sync[phase * 32 + offset])

    def claim(sync: Buffer, phase: Expr) -> Expr:
        return T.call_extern("int32", "inferflux_claim", counter(sync, phase, 0))

    def finish(sync: Buffer, phase: Expr) -> Expr:
        return T.call_extern("void", "inferflux_finish", counter(sync, phase, 16))

    def wait(sync: Buffer, phase: Expr, pieces: Expr) -> Expr:
        return T.call_extern("void", "inferflux_wait", counter(sync, phase, 16), pieces)

    def choose(index: Expr, values: list[int]) -> Expr:
        chosen = T.int32(values[-1])
        for position in range(len(values) - 2, -1, -1):
            chosen = T.if_then_else(index == position, T.int32(values[position]), chosen)
        return chosen

    chosen: tuple[Callable[..., Expr], ...] = (
        lanes,
        splat,
        largest,
        sum_of,
        total_of,
        where,
        between,
        rounded,
        exp,
        silu,
        f32_of,
        f32_scalar,
        half_lanes,
        half_scalar,
        f32_lanes,
        stored,
        byte_lanes,
        dot_groups,
        prefetch,
        claim,
        finish,
        wait,
        choose,
        f32_vector,
    )
    named = {word.__name__: word for word in chosen}
    return {"T": T, "bytes64": lambda at: T.ramp(at, 1, 64), **named}

"""Dot products of packed integers: exact on every ISA, by what each multiplies fastest.

Weights are unsigned, of so many ``bits``, and lie as [group of 4 columns][16 rows][4 columns]; of 8
bits they are int8 that are stored 128 too large. Values are int8 in -127..127. A sum is kept in
whatever the ISA adds fastest for up to 32 columns, and becomes 16 floats, exactly, at their end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from inferflux.codegen.targets.words.memory import Memory
from inferflux.codegen.targets.words.numbers import Numbers
from inferflux.codegen.targets.words.tir import LANES, Buffer, Expr, Words


class Dots(Words, ABC):
    """The words for sums in 32-bit lanes; an ISA says what a group of columns adds to them."""

    def __init__(self, tirx: Any) -> None:
        super().__init__(tirx)
        self._memory, self._numbers = Memory(tirx), Numbers(tirx)

    def dot_sums(self, rows: int, bits: int) -> Buffer:
        """Room for the sums of so many rows of values."""
        lanes, dtype = self._sum(bits)
        return self._t.alloc_buffer((rows * lanes,), dtype)

    def dot_at(self, row: Expr, bits: int) -> Expr:
        """Where the sums of a row are."""
        lanes, _ = self._sum(bits)
        return self._t.ramp(row * lanes, 1, lanes)

    def dot_zero(self, bits: int) -> Expr:
        lanes, dtype = self._sum(bits)
        return self._t.broadcast(self._t.cast(0, dtype), lanes)

    @abstractmethod
    def dot_group(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr, bits: int
    ) -> Expr:
        """total + for each row of the panel, 4 weights of a group times 4 values."""

    def dot_floats(self, total: Expr, correction: Expr, bits: int, offset: int) -> Expr:
        """The sums as floats; 128 / offset times as large, if weights are stored with an offset.

        ``correction`` takes back what the offset added: it is -128 times the sum of the values.
        """
        if offset and not self._are_signed(bits):
            total = total * self._integer(128 // offset) + self._t.broadcast(correction, LANES)
        return self._t.cast(total, "float32x16")

    def scaled_sums(self, rows: int) -> Buffer:
        """Room for what the sums of a super-block's blocks add up to, each times its factor."""
        return self._t.alloc_buffer((rows * LANES,), self._scaled())

    def scaled_zero(self) -> Expr:
        return self._t.broadcast(self._t.cast(0, self._scaled()), LANES)

    def factors(self, count: int) -> Buffer:
        """Room for so many factors of 16 rows."""
        lanes, dtype = self._factor()
        return self._t.alloc_buffer((count * lanes,), dtype)

    def factor_at(self, index: Expr) -> Expr:
        """Where one of these is."""
        lanes, _ = self._factor()
        return self._t.ramp(index * lanes, 1, lanes)

    def factor_of_bytes(self, buffer: Buffer, at: Expr) -> Expr:
        """16 bytes with a sign."""
        return self._memory.int8_lanes(buffer, at)

    def factor_of_nibbles(self, buffer: Buffer, at: Expr) -> Expr:
        """The lower four bits of 16 bytes."""
        return self._memory.nibble_lanes(buffer, at, 0)

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
        """As ``dot_group``, for sums that ``add_scaled`` takes: times the factor here, or there."""
        return self.dot_group(total, weights, group, values, at, bits)

    def add_scaled(self, scaled: Expr, total: Expr, factor: Expr, bits: int) -> Expr:
        """scaled + the sums of a block times its factor."""
        exact = self.dot_floats(total, self._t.int32(0), bits, 0)
        return self._numbers.fma(exact, factor, scaled)

    def scaled_floats(self, scaled: Expr) -> Expr:
        """These as floats: 16 rows'."""
        return scaled

    def offset_left(self, bits: int, offset: int) -> Expr:
        """How much too large weights of so many bits are when they are multiplied."""
        return self._t.float32(0 if self._are_signed(bits) else offset)

    def dot_of_two(self, total: Expr, weights: Expr, values: Expr) -> Expr:
        """total + 2 weights times 2 values, in 16 lanes of int32: pairs of int16 each."""
        upper = self._integer(16)
        for first, second in zip(self._two(weights, upper), self._two(values, upper), strict=True):
            total = total + first * second
        return total

    def _two(self, pairs: Expr, upper: Expr) -> tuple[Expr, Expr]:
        shifted = self._t.shift_right(self._t.shift_left(pairs, upper), upper)
        return shifted, self._t.shift_right(pairs, upper)

    def _sum(self, bits: int) -> tuple[int, str]:
        return LANES, "int32"

    def _scaled(self) -> str:
        return "float32"

    def _factor(self) -> tuple[int, str]:
        return LANES, "float32"

    def _are_signed(self, bits: int) -> bool:
        """The ISA multiplies the weights as they are, having taken 128 from each."""
        return False

    def _unsigned(self, weights: Buffer, at: Expr, count: int) -> Expr:
        return weights[self._t.ramp(at, 1, count)]

    def _signed(self, weights: Buffer, at: Expr, count: int) -> Expr:
        stored = self._unsigned(weights, at, count)
        flipped = stored ^ self._t.broadcast(self._t.uint8(128), count)
        return self._t.reinterpret(flipped, dtype=f"int8x{count}")

    def _four(self, values: Buffer, at: Expr, count: int) -> Expr:
        """4 values, again and again, as so many int8."""
        four = self._t.broadcast(self._raw(values, at, 4, "int32"), count // 4)
        return self._t.reinterpret(four, dtype=f"int8x{count}")

    def _joined(self, parts: list[Expr], lanes: int) -> Expr:
        return self._t.Shuffle(parts, list(range(lanes)))

    def _part(self, x: Expr, index: int, lanes: int) -> Expr:
        return self._t.Shuffle([x], list(range(index * lanes, (index + 1) * lanes)))


class FloatDots(Dots):
    """Without integer products: float32 holds these sums exactly, they stay below 2**24."""

    def dot_group(
        self, total: Expr, weights: Buffer, group: Expr, values: Buffer, at: Expr, bits: int
    ) -> Expr:
        for byte in range(4):
            value = self._t.broadcast(self._t.cast(values[at + byte], "float32"), LANES)
            weight = self._memory.byte_lanes(weights, group * 64, self._t.int32(8 * byte), 255)
            total = total + weight * value
        return total

    def dot_floats(self, total: Expr, correction: Expr, bits: int, offset: int) -> Expr:
        if not offset:
            return total
        taken_back = self._t.broadcast(self._t.cast(correction, "float32"), LANES)
        return total * self._float(128 // offset) + taken_back

    def _sum(self, bits: int) -> tuple[int, str]:
        return LANES, "float32"

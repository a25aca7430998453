"""Sharing the pieces of a phase (sync.ll.j2), and numbers that differ by layer."""

from __future__ import annotations

from collections.abc import Sequence

from inferflux.codegen.targets.words.tir import Buffer, Expr, Words

COUNTER_STRIDE = 32  # int32 from one phase's counters to the next: claims, completions, a line each
_WORD_BITS = 63  # of constants that are looked up; the last one is their sign


class Workers(Words):
    """Counters in ``sync``, by phase; constants, by layer."""

    def claim(self, sync: Buffer, phase: Expr) -> Expr:
        return self._t.call_extern("int32", "inferflux_claim", self._counter(sync, phase, 0))

    def finish(self, sync: Buffer, phase: Expr) -> Expr:
        return self._t.call_extern("void", "inferflux_finish", self._counter(sync, phase, 16))

    def wait(self, sync: Buffer, phase: Expr, pieces: Expr) -> Expr:
        counter = self._counter(sync, phase, 16)
        return self._t.call_extern("void", "inferflux_wait", counter, pieces)

    def choose(self, index: Expr, values: Sequence[int | float]) -> Expr:
        """values[index], for a short list of constants of one type.

        Natural numbers lie in words of 63 bits, side by side: a test for each of them would make a
        model of more layers longer to compile.
        """
        if isinstance(values[0], float) or min(values) < 0:
            constant = self._t.float32 if isinstance(values[0], float) else self._t.int32
            return self._nested(index, [constant(value) for value in values])
        bits = max(1, int(max(values)).bit_length())
        count = _WORD_BITS // bits
        parts = [values[at : at + count] for at in range(0, len(values), count)]
        packed = [sum(int(value) << bits * at for at, value in enumerate(part)) for part in parts]
        word = self._nested(self._t.truncdiv(index, count), [*map(self._t.int64, packed)])
        shift = self._t.Cast("int64", self._t.truncmod(index, count) * bits)
        return self._t.Cast(
            "int32", self._t.bitwise_and(self._t.shift_right(word, shift), (1 << bits) - 1)
        )

    def _nested(self, index: Expr, constants: Sequence[Expr]) -> Expr:
        chosen = constants[-1]
        for position in range(len(constants) - 2, -1, -1):
            chosen = self._t.if_then_else(index == position, constants[position], chosen)
        return chosen

    def _counter(self, sync: Buffer, phase: Expr, offset: int) -> Expr:
        return self._t.address_of(sync[phase * COUNTER_STRIDE + offset])

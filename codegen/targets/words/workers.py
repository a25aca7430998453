"""Sharing the pieces of a phase (sync.ll.j2), and numbers that differ by layer."""

from __future__ import annotations

from collections.abc import Sequence

from inferflux.codegen.targets.words.tir import Buffer, Expr, Words

COUNTER_STRIDE = 32  # int32 from one phase's counters to the next: claims, completions, a line each


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
        """values[index], for a short list of constants of one type."""
        constant = self._t.float32 if isinstance(values[0], float) else self._t.int32
        chosen = constant(values[-1])
        for position in range(len(values) - 2, -1, -1):
            chosen = self._t.if_then_else(index == position, constant(values[position]), chosen)
        return chosen

    def _counter(self, sync: Buffer, phase: Expr, offset: int) -> Expr:
        return self._t.address_of(sync[phase * COUNTER_STRIDE + offset])

"""bf16 as pairs of columns, and their products: functions of bf16.ll, inlined by LLVM."""

from __future__ import annotations

from inferflux.codegen.targets.words.tir import Expr, Words


class Bfloats(Words):
    """Where a machine multiplies bf16 (AVX512-BF16)."""

    def bf16_row(self, x: Expr) -> Expr:
        """16 floats as 16 neighbouring bf16: 8 elements of two."""
        return self._t.call_extern("int32x8", "inferflux_bf16_row", x)

    def bf16_pairs(self, low: Expr, high: Expr) -> Expr:
        """Two columns of 16 rows, a row's pair an element."""
        return self._t.call_extern("int32x16", "inferflux_bf16_pairs", low, high)

    def dot_pairs(self, total: Expr, weights: Expr, values: Expr) -> Expr:
        """total + for each lane, a pair of weights times a pair of values, in float32."""
        return self._t.call_extern("float32x16", "inferflux_dot_pairs", total, weights, values)

"""What the families of words share: TIR's builders, constants in every lane, intrinsics of LLVM."""

from __future__ import annotations

from typing import Any

LANES = 16

Expr = Any  # a TIR expression
Buffer = Any  # a TIR buffer


class Words:
    """A family of words: its public methods are the words."""

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

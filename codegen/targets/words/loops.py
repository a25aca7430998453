"""Loops that stay loops: what LLVM unrolls it also reorders, until registers do not suffice."""

from __future__ import annotations

from inferflux.codegen.targets.words.tir import Expr, Words

# The number passes through assembly that does nothing, so that LLVM knows no more than its sign.
DEFINITIONS = """
declare void @llvm.assume(i1)

define i32 @inferflux_rolled(i32 %count) alwaysinline {
  %same = call i32 asm "", "=r,0"(i32 %count)
  %some = icmp sgt i32 %same, 0
  call void @llvm.assume(i1 %some)
  ret i32 %same
}
"""


class Loops(Words):
    """Extents of loops."""

    def rolled(self, count: int) -> Expr:
        """``count``, for a loop that is to run as it is written."""
        return self._t.call_extern("int32", "inferflux_rolled", self._t.int32(count))

"""A stack on which vectors lie whole.

LLVM aligns a function's stack only if it knows, before it gives out registers, of a place that asks
for that. Registers that are spilled later lie as the caller's stack happens to: of 32 bytes every
second one, of 64 nearly all, across two lines of the cache.
"""

from __future__ import annotations

from inferflux.codegen.targets.words.tir import Expr, Words

DEFINITIONS = """
define void @inferflux_align_stack() alwaysinline {
  %place = alloca [64 x i8], align 64
  call void asm sideeffect "", "r"(ptr %place)
  ret void
}
"""


class Stack(Words):
    """The stack of a phase's function."""

    def align_stack(self) -> Expr:
        """To a line of the cache, for the whole function: a place that nothing lies in."""
        return self._t.call_extern("void", "inferflux_align_stack")

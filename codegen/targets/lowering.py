"""The passes of TVM that the text of a step needs on its way to LLVM.

TVM's own list for scheduled TIR has these and many that find nothing to do in a step: of blocks,
threads and shared memory. Two of them took three quarters of a compile: the first shrinks buffers
to what is read of them, which templates state exactly; the other shares subexpressions, as LLVM
does once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NAME = "inferflux"

Pass = Any  # of TVM
_CPU = 1  # of DLPack's devices


def register() -> None:
    """Make the list known to TVM, as the pipeline ``NAME``."""
    from tvm.tirx import compilation_pipeline

    compilation_pipeline.PIPELINE_MAP[NAME] = _pipeline


def _pipeline() -> tuple[Pass, Callable[[], Pass], Callable[[], Pass]]:
    from tvm import s_tir, tirx
    from tvm.ir.transform import Sequential

    scheduled, plain = s_tir.transform, tirx.transform
    passes = Sequential(
        [
            scheduled.CanonicalizeLoop(),
            scheduled.PlanAndUpdateBufferAllocationLocation(),
            scheduled.ConvertBlocksToOpaque(),
            scheduled.LowerMatchBuffer(),
            scheduled.LowerOpaqueBlock(),
            plain.FlattenBuffer(),
            plain.NarrowDataType(32),
            plain.StorageRewrite(),
            plain.UnrollLoop(),
            plain.StmtSimplify(),
            plain.RemoveNoOp(),
            plain.VerifyMemory(),
            plain.SplitHostDevice(),
            plain.MakePackedAPI(),
            _for_the_cpu(),
        ]
    )
    finish = Sequential([plain.LowerTVMBuiltin(), plain.LowerIntrin()])
    return passes, lambda: finish, lambda: finish


def _for_the_cpu() -> Pass:
    """Say of every function that it is the CPU's, which TVM knows only of those Python can call.

    A buffer that is too large for the stack is asked of the runtime, for a device.
    """
    from tvm import tirx

    def said(function: Any, _module: Any, _context: Any) -> Any:
        body = tirx.AttrStmt(0, "device_id", tirx.const(0), function.body)
        return function.with_body(tirx.AttrStmt(0, "device_type", tirx.const(_CPU), body))

    made: Pass = tirx.transform.prim_func_pass(said, opt_level=0, name="inferflux.ForTheCpu")
    return made

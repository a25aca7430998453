"""sample: one row of logits is one piece; a row is read many times, so it stays with one core."""

from __future__ import annotations

from collections.abc import Mapping

from inferflux.ir import ops
from inferflux.ir.ops.sample import MAX_LOGPROBS
from inferflux.kernels.cut import row_pieces, whole_rows
from inferflux.kernels.kernel import Kernel, Schedule
from inferflux.kernels.storage import FloatRows, Operand

MAX_VOCABULARY = 1 << 24  # top-k counts tokens in float32


def alternatives(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    logits = operands["logits"]
    assert isinstance(logits, FloatRows)
    assert logits.columns < MAX_VOCABULARY, f"{logits.columns} tokens are beyond float32's integers"
    return {"max_logprobs": MAX_LOGPROBS}


RESULTS = ("out_tokens", "out_logprobs", "top_tokens", "top_logprobs")

KERNELS = (Kernel(ops.sample, "sample/cpu.j2", RESULTS, whole_rows, row_pieces, alternatives),)

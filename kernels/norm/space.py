"""rms_norm, rms_norm_quantise, quantise: one row is one piece; there is nothing to cut."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.kernels.kernel import Kernel, Schedule, StepShape, no_parameters, rows_of


def whole_rows(node: Node, shape: StepShape) -> Iterator[Schedule]:
    yield {}


def row_pieces(node: Node, schedule: Schedule) -> str:
    return rows_of(node)


KERNELS = (
    Kernel(ops.rms_norm, "norm/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(ops.rms_norm_quantise, "norm/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(ops.quantise, "norm/quantise_cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
)

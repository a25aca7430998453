"""rms_norm, rms_norm_quantise, quantise: one row is one piece; there is nothing to cut."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.kernels.cut import row_pieces, whole_rows
from inferflux.kernels.kernel import Kernel, no_parameters

KERNELS = (
    Kernel(ops.rms_norm, "norm/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(ops.rms_norm_quantise, "norm/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(ops.quantise, "norm/quantise_cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
)

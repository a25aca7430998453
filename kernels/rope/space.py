"""rope: one row is one piece."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.kernels.cut import row_pieces, whole_rows
from inferflux.kernels.kernel import Kernel, no_parameters

KERNELS = (Kernel(ops.rope, "rope/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),)

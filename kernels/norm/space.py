"""Norms of rows and heads, and quantise: one row is one piece; there is nothing to cut."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.kernels.cut import part_heads, row_pieces, whole_rows
from inferflux.kernels.kernel import Kernel, no_parameters

KERNELS = (
    Kernel(ops.rms_norm, "norm/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(ops.rms_norm_quantise, "norm/cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(ops.layer_norm, "norm/layer_cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
    Kernel(
        ops.layer_norm_quantise,
        "norm/layer_cpu.j2",
        ("out",),
        whole_rows,
        row_pieces,
        no_parameters,
    ),
    Kernel(
        ops.norm_heads,
        "norm/heads_cpu.j2",
        ("out",),
        whole_rows,
        row_pieces,
        no_parameters,
        refuses=part_heads,
    ),
    Kernel(ops.quantise, "norm/quantise_cpu.j2", ("out",), whole_rows, row_pieces, no_parameters),
)

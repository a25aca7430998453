"""Quantised numbers on NumPy: weights as their blocks lie in a file, activations as int8 rows."""

from inferflux.ir.quantised.activations import (
    BLOCK,
    Activations,
    BfloatRows,
    QuantisedRows,
    narrow,
    quantise_rows,
    round_bf16,
)
from inferflux.ir.quantised.blocks import Blocks, SuperBlocks
from inferflux.ir.quantised.rounding import quantise
from inferflux.ir.quantised.weights import (
    WeightRows,
    dequantise,
    dot_blocks,
    to_f32,
    unpack,
    unpack_blocks,
)

__all__ = [
    "BLOCK",
    "Activations",
    "BfloatRows",
    "Blocks",
    "QuantisedRows",
    "SuperBlocks",
    "WeightRows",
    "dequantise",
    "dot_blocks",
    "narrow",
    "quantise",
    "quantise_rows",
    "round_bf16",
    "to_f32",
    "unpack",
    "unpack_blocks",
]

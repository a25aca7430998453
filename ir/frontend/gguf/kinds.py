"""GGUF's numbers for tensor types and metadata values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from inferflux.ir.types import BLOCKS, FLOATS, DType


@dataclass(frozen=True, slots=True)
class TensorKind:
    """A tensor type as the format knows it: ``block`` elements of a row in ``block_bytes``."""

    name: str
    block: int
    block_bytes: int


class ValueKind(IntEnum):
    """What a metadata value is."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


NUMBERS: dict[ValueKind, np.dtype[Any]] = {
    ValueKind.UINT8: np.dtype("<u1"),
    ValueKind.INT8: np.dtype("<i1"),
    ValueKind.UINT16: np.dtype("<u2"),
    ValueKind.INT16: np.dtype("<i2"),
    ValueKind.UINT32: np.dtype("<u4"),
    ValueKind.INT32: np.dtype("<i4"),
    ValueKind.FLOAT32: np.dtype("<f4"),
    ValueKind.UINT64: np.dtype("<u8"),
    ValueKind.INT64: np.dtype("<i8"),
    ValueKind.FLOAT64: np.dtype("<f8"),
}

# All of them, so that a model of a type we do not support is refused by its type's name.
TENSOR_KINDS = {
    0: TensorKind("F32", 1, 4),
    1: TensorKind("F16", 1, 2),
    2: TensorKind("Q4_0", 32, 18),
    3: TensorKind("Q4_1", 32, 20),
    6: TensorKind("Q5_0", 32, 22),
    7: TensorKind("Q5_1", 32, 24),
    8: TensorKind("Q8_0", 32, 34),
    9: TensorKind("Q8_1", 32, 40),
    10: TensorKind("Q2_K", 256, 84),
    11: TensorKind("Q3_K", 256, 110),
    12: TensorKind("Q4_K", 256, 144),
    13: TensorKind("Q5_K", 256, 176),
    14: TensorKind("Q6_K", 256, 210),
    15: TensorKind("Q8_K", 256, 292),
    16: TensorKind("IQ2_XXS", 256, 66),
    17: TensorKind("IQ2_XS", 256, 74),
    18: TensorKind("IQ3_XXS", 256, 98),
    19: TensorKind("IQ1_S", 256, 50),
    20: TensorKind("IQ4_NL", 32, 18),
    21: TensorKind("IQ3_S", 256, 110),
    22: TensorKind("IQ2_S", 256, 82),
    23: TensorKind("IQ4_XS", 256, 136),
    24: TensorKind("I8", 1, 1),
    25: TensorKind("I16", 1, 2),
    26: TensorKind("I32", 1, 4),
    27: TensorKind("I64", 1, 8),
    28: TensorKind("F64", 1, 8),
    29: TensorKind("IQ1_M", 256, 56),
    30: TensorKind("BF16", 1, 2),
    34: TensorKind("TQ1_0", 256, 54),
    35: TensorKind("TQ2_0", 256, 66),
    39: TensorKind("MXFP4", 32, 17),
    40: TensorKind("NVFP4", 64, 36),
    41: TensorKind("Q1_0", 128, 18),
}

# Those that kernels read as they are.
SUPPORTED: dict[str, DType] = {dtype.name.upper(): dtype for dtype in (*FLOATS, *BLOCKS)}

"""Types of IR values: element types that know their block, and shapes with symbolic dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass

Dim = int | str  # a number, or a symbol bound at run time: "T" tokens, "B" sequences, "R" rows, ...


@dataclass(frozen=True, slots=True)
class DType:
    """An element type.  A quantised one stores ``block`` elements of a row in ``block_bytes``."""

    name: str
    block_bytes: int
    block: int = 1

    @property
    def is_quantised(self) -> bool:
        return self.block > 1

    def __str__(self) -> str:
        return self.name


F32 = DType("f32", 4)
F16 = DType("f16", 2)
BF16 = DType("bf16", 2)  # the upper half of an f32
I32 = DType("i32", 4)
U64 = DType("u64", 8)
# Weights as files hold them: GGUF's block formats, blocks run along the last dimension.
Q4_0 = DType("q4_0", 18, block=32)  # f16 scale, 32 x 4 bit:               w = scale * (q - 8)
Q4_1 = DType("q4_1", 20, block=32)  # f16 scale, f16 minimum, 32 x 4 bit:  w = scale * q + minimum
Q5_0 = DType("q5_0", 22, block=32)  # f16 scale, 32 x 5 bit:               w = scale * (q - 16)
Q5_1 = DType("q5_1", 24, block=32)  # f16 scale, f16 minimum, 32 x 5 bit:  w = scale * q + minimum
Q8_0 = DType("q8_0", 34, block=32)  # f16 scale, 32 x int8:                w = scale * q
# The K-quants: an f16 scale (and one of minima) of integer scales (and minima) of a few bits.
Q2_K = DType("q2_k", 84, block=256)  # 16 x 4 + 4 bit, 256 x 2 bit:        w = scale * q - minimum
Q3_K = DType("q3_k", 110, block=256)  # 16 x 6 bit, 256 x 3 bit:           w = scale * (q - 4)
Q4_K = DType("q4_k", 144, block=256)  # 8 x 6 + 6 bit, 256 x 4 bit:        w = scale * q - minimum
Q5_K = DType("q5_k", 176, block=256)  # 8 x 6 + 6 bit, 256 x 5 bit:        w = scale * q - minimum
Q6_K = DType("q6_k", 210, block=256)  # 16 x int8, 256 x 6 bit:            w = scale * (q - 32)
# 4 bits choose from a table of 16 integers.
IQ4_NL = DType("iq4_nl", 18, block=32)  # f16 scale:                       w = scale * table[q]
IQ4_XS = DType("iq4_xs", 136, block=256)  # f16 scale of 8 x 6 bit:        w = scale * table[q]
MXFP4 = DType("mxfp4", 17, block=32)  # a power of two:                    w = scale * fp4[q]
# Activations on their way into an integer dot product: int8, one f32 scale for so many of a row.
I8X32 = DType("i8x32", 36, block=32)
I8X256 = DType("i8x256", 260, block=256)
# Elements of KV pages: int8, one f16 scale for 32 of a token's head, wherever in the page they lie.
I8PAGE = DType("i8page", 34, block=32)

INT8_ROWS = (I8X32, I8X256)
FLOATS = (F32, F16, BF16)  # a weight of these holds its values as they are
BLOCKS = (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4)
DTYPES = {dtype.name: dtype for dtype in (*FLOATS, I32, U64, *BLOCKS, *INT8_ROWS, I8PAGE)}


@dataclass(frozen=True, slots=True)
class TensorType:
    """``dtype[d0, d1, ...]``; the blocks of a quantised dtype run along the last dimension.

    ``layout`` names how a weight is packed for the target; empty is row-major, as in the file.
    """

    dtype: DType
    shape: tuple[Dim, ...]
    layout: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes as a file would hold it.  Only for static shapes."""
        count = math.prod(dim for dim in self.shape if isinstance(dim, int))
        assert all(isinstance(dim, int) for dim in self.shape), f"{self} has no static size"
        return count // self.dtype.block * self.dtype.block_bytes

    def __str__(self) -> str:
        packed = f"@{self.layout}" if self.layout else ""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]{packed}"


def tensor(dtype: DType, *shape: Dim) -> TensorType:
    """``tensor(F32, "T", 576)`` is ``f32[T, 576]``."""
    return TensorType(dtype, shape)

"""What several type rules require of their operands, each stated once."""

from __future__ import annotations

from inferflux.ir.graph import require
from inferflux.ir.types import (
    BF16,
    DTYPES,
    F32,
    FLOATS,
    I8X32,
    I8X256,
    I32,
    INT8_ROWS,
    DType,
    TensorType,
)


def require_f32(**operands: TensorType) -> None:
    for name, type_ in operands.items():
        require(type_.dtype == F32, f"{name} is {type_}, must be f32")


def require_i32(**operands: TensorType) -> None:
    """Index vectors: one i32 for each token, row or sequence."""
    for name, type_ in operands.items():
        require(type_.dtype == I32, f"{name} is {type_}, must be i32")
        require(len(type_.shape) == 1, f"{name} is {type_}, must have one dimension")


def require_rows(**operands: TensorType) -> None:
    """Two dimensions, the second of them static."""
    for name, type_ in operands.items():
        static = len(type_.shape) == 2 and isinstance(type_.shape[1], int)
        require(static, f"{name} is {type_}, must be rows of a known width")


def require_same_length(**operands: TensorType) -> None:
    lengths = {type_.shape[:1] for type_ in operands.values()}
    listed = ", ".join(f"{name} {type_}" for name, type_ in operands.items())
    require(len(lengths) == 1, f"first dimensions differ: {listed}")


def require_heads(name: str, type_: TensorType, head_dim: int) -> int:
    """Rows of whole heads; gives their number."""
    require_rows(**{name: type_})
    width = static(type_.shape[1])
    require(head_dim > 0 and head_dim % 2 == 0, f"head_dim {head_dim} is not positive and even")
    require(width % head_dim == 0, f"{name} {type_} is not whole heads of {head_dim}")
    return width // head_dim


def require_blocks(name: str, type_: TensorType, dtype: DType) -> None:
    """The last dimension can be stored in the blocks of ``dtype``."""
    width = type_.shape[-1]
    whole = isinstance(width, int) and width % dtype.block == 0
    require(whole, f"{name} {type_} is not whole blocks of {dtype.block} for {dtype}")


def require_product(x: TensorType, weight: TensorType, *, x_name: str = "x") -> None:
    """``x @ weight.T`` exists.  f32 and bf16 rows meet any weight, int8 rows quantised ones.

    Rows of i8x256 meet weights whose blocks are as long, so that scales change at once.
    """
    require_rows(**{x_name: x, "weight": weight})
    require(isinstance(weight.shape[0], int), f"weight is {weight}, its rows must be counted")
    require(x.shape[1] == weight.shape[1], f"rows of {x_name} {x} do not fit weight {weight}")
    rows = (F32, BF16, *INT8_ROWS)
    require(x.dtype in rows, f"{x_name} is {x}, must be one of {', '.join(map(str, rows))}")
    floats = weight.dtype in FLOATS
    require(
        floats or weight.dtype.is_quantised, f"weight is {weight}, must be a float or quantised"
    )
    require(weight.dtype not in INT8_ROWS, f"weight is {weight}: {weight.dtype} is for activations")
    require(
        not (floats and x.dtype in INT8_ROWS),
        f"{x_name} {x} needs a quantised weight, not {weight}",
    )
    require(
        x.dtype != I8X256 or weight.dtype.block == I8X256.block,
        f"{x_name} {x} needs a weight in blocks of 256, not {weight}",
    )


def narrowed(name: str, type_: TensorType, to: str, *, at_once: bool = False) -> TensorType:
    """The type of f32 rows that were made int8 or bf16 for a product to read.

    Args:
        at_once: the op makes a row as a whole: of less than 256 columns no i8x256 is made.
    """
    known = (*(INT8_ROWS if at_once else (I8X32,)), BF16)
    require(
        to in (dtype.name for dtype in known),
        f"to={to!r}: rows become {', '.join(map(str, known))}",
    )
    require_blocks(name, type_, DTYPES[to])
    return TensorType(DTYPES[to], type_.shape)


def static(dim: int | str) -> int:
    require(isinstance(dim, int), f"dimension {dim} must be a number")
    return int(dim)

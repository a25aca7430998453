"""What types of weights are made of once packed in panels: all that templates know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferflux.ir.quantised.tables import FP4_VALUES, IQ4_VALUES

LINE = 64  # bytes: 16 rows of 4 columns
BLOCK = 32  # columns that activations share a scale in


@dataclass(frozen=True, slots=True)
class Format:
    """Weights are scale * (q - offset) + minimum; without ``planes`` they are values themselves.

    A block is 32 columns of 16 rows. Its integers q are 8 groups of 4 columns in one or two planes,
    a plane of b bits being b lines of 64 bytes. Line l of the first holds groups l, l + b, l + 2b,
    ... from the lowest bits up. A second plane has the bits above these, for as many lines of the
    first in one of its own as fit: shifted down to those of line l, they lie where the first's do.

    A scale is of ``columns`` of a row, and so is a minimum. They lie behind a block's integers; or
    a super-block of 256 columns begins with an f16 for each row (and one for minima, negative),
    then the small integers that these multiply, block by block, and then has its blocks' integers.
    """

    planes: tuple[int, ...] = ()
    offset: int = 0  # how much too large integers are stored, so that they are unsigned
    scale: str = "f16"  # "e8m0": a power of two; "i8", "u4": a small integer of a super-block
    has_minimum: bool = False
    columns: int = BLOCK
    table: tuple[int, ...] = ()  # what the bits stand for, offset included; none: themselves
    itemsize: int = 0  # of values

    @property
    def block(self) -> int:
        """Columns that are unpacked together."""
        return BLOCK if self.planes else 1

    @property
    def bits(self) -> int:
        """Of the integers that products meet."""
        return max(self.table).bit_length() if self.table else sum(self.planes)

    @property
    def unit(self) -> float:
        """What 1 stands for in a sum of products that has its offset taken back: see ``Dots``."""
        return self.offset / 128 or 1.0

    @property
    def parts(self) -> int:
        """Groups that begin in a line of the first plane."""
        return 8 // self.planes[0]

    @property
    def halves(self) -> int:
        """Scales of a block's row: 2 where they are of 16 columns."""
        return BLOCK // self.columns if self.planes else 1

    @property
    def is_composed(self) -> bool:
        """Its integers are not simply bits of one byte."""
        return len(self.planes) > 1 or bool(self.table)

    @property
    def is_nested(self) -> bool:
        """Its scales are small integers times a super-block's."""
        return self.scale in ("i8", "u4")

    @property
    def stored_columns(self) -> int:
        """Columns that are stored together."""
        return 8 * BLOCK if self.is_nested else self.block

    @property
    def line_bytes(self) -> int:
        """Of a block's integers."""
        return LINE * sum(self.planes)

    @property
    def factor_bytes(self) -> int:
        """Of a super-block's scales in f16."""
        return 64 if self.has_minimum else 32

    @property
    def small_bytes(self) -> int:
        """Of a block's small integers: a minimum shares the byte of a scale of 4 bits."""
        each = 2 if self.has_minimum and self.scale == "i8" else 1
        return 16 * self.halves * each

    @property
    def head_bytes(self) -> int:
        """Of a super-block, before its integers."""
        return self.factor_bytes + 8 * self.small_bytes

    @property
    def nbytes(self) -> int:
        """Of all that is stored together."""
        if not self.planes:
            return 16 * self.itemsize
        if self.is_nested:
            return self.head_bytes + 8 * self.line_bytes
        return self.line_bytes + (16 if self.scale == "e8m0" else self.factor_bytes)


_IQ4 = tuple(int(value) + 128 for value in IQ4_VALUES)
_FP4 = tuple(int(value) + 16 for value in FP4_VALUES)

FORMATS: Mapping[str, Format] = {
    "f32": Format(itemsize=4),
    "f16": Format(itemsize=2),
    "bf16": Format(itemsize=2),
    "q4_0": Format((4,), 8),
    "q4_1": Format((4,), has_minimum=True),
    "q5_0": Format((4, 1), 16),
    "q5_1": Format((4, 1), has_minimum=True),
    "q8_0": Format((8,), 128),
    "q2_k": Format((2,), scale="u4", has_minimum=True, columns=16),
    "q3_k": Format((2, 1), 4, scale="i8", columns=16),
    "q4_k": Format((4,), scale="i8", has_minimum=True),
    "q5_k": Format((4, 1), scale="i8", has_minimum=True),
    "q6_k": Format((4, 2), 32, scale="i8", columns=16),
    "iq4_nl": Format((4,), 128, table=_IQ4),
    "iq4_xs": Format((4,), 128, scale="i8", table=_IQ4),
    "mxfp4": Format((4,), 16, scale="e8m0", table=_FP4),
}

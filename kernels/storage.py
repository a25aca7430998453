"""Where operands live while a step runs, as templates address them: expressions over buffers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferflux.kernels.formats import FORMATS, Format

LANES = 16  # values of a vector, rows of a panel, tokens of a page
UNIT = 32  # outputs of a product that belong together: two panels, a block when quantised


@dataclass(frozen=True, slots=True)
class FloatRows:
    """f32[rows, columns] in a float buffer, rows ``stride`` apart: whole units, ended by zeros.

    Of these and other rows: where ``listed`` names a buffer of integers, a row is the one that is
    listed there in its place.
    """

    columns: int
    base: int
    stride: int
    buffer: str = "scratch_f32"
    listed: str = ""
    shift: str = ""  # " + " and how far into a row its columns begin, where that is not at 0

    form: str = "f32"

    def at(self, row: str, column: str) -> str:
        return f"{self.base}{self.shift} + {_listed(self.listed, row)} * {self.stride} + {column}"

    def scalar(self, row: str, column: str) -> str:
        return f"{self.buffer}[{self.at(row, column)}]"

    def vector(self, row: str, column: str) -> str:
        return f"{self.buffer}[lanes({self.at(row, column)})]"


@dataclass(frozen=True, slots=True)
class Int8Rows:
    """i8x32[rows, columns]: int8 values, and per block of 32 a scale and sums of the values.

    ``scaled_sum`` is scale * sum (what a minimum is multiplied with); ``correction`` is -128 * sum
    (what takes back the 128 that is added to signed weights to make them unsigned). Those of a
    block's halves are kept, too, where weights with scales of 16 columns meet the rows.
    """

    columns: int
    values: int  # offset in scratch_i8
    scales: int  # offset in scratch_f32
    scaled_sums: int  # offset in scratch_f32
    corrections: int  # offset in scratch_i32
    half_corrections: tuple[int, int] | None = None  # the same, where they are kept
    listed: str = ""

    form: str = "i8x32"

    @property
    def blocks(self) -> int:
        return self.columns // 32

    def value(self, row: str, column: str) -> str:
        return f"{self.values} + {_listed(self.listed, row)} * {self.columns} + {column}"

    def scale(self, row: str, block: str) -> str:
        return f"scratch_f32[{self.scales} + {self._at(row, block)}]"

    def scaled_sum(self, row: str, block: str) -> str:
        return f"scratch_f32[{self.scaled_sums} + {self._at(row, block)}]"

    def correction(self, row: str, block: str) -> str:
        return f"scratch_i32[{self.corrections} + {self._at(row, block)}]"

    def half_correction(self, row: str, block: str, half: int) -> str:
        assert self.half_corrections is not None, "the memory plan keeps what a reader needs"
        return f"scratch_i32[{self.half_corrections[half]} + {self._at(row, block)}]"

    def _at(self, row: str, block: str) -> str:
        return f"{_listed(self.listed, row)} * {self.blocks} + {block}"

    def scaled_sums_of(self, row: str, block: str, halves: int) -> list[str]:
        """scale * sum, of a block or of each half of it."""
        if halves == 1:
            return [self.scaled_sum(row, block)]
        factor = f"({self.scale(row, block)} * T.float32({-1 / 128}))"
        sums = self.corrections_of(row, block, halves)
        return [f'T.cast({each}, "float32") * {factor}' for each in sums]

    def corrections_of(self, row: str, block: str, halves: int) -> list[str]:
        """-128 * sum, of a block or of each half of it."""
        if halves == 1:
            return [self.correction(row, block)]
        return [self.half_correction(row, block, half) for half in range(halves)]


@dataclass(frozen=True, slots=True)
class SuperRows:
    """i8x256[rows, columns]: int8 values, and per super-block of 256 a scale and sums of values.

    A sum is of 32 columns; where weights with scales of 16 meet the rows, those are kept, too. Two
    neighbours are an element: int16, the first in the lower half.
    """

    columns: int
    values: int  # offset in scratch_i8
    scales: int  # offset in scratch_f32
    sums: int  # offset in scratch_i32
    half_sums: int | None = None  # the same, of 16 columns
    listed: str = ""

    form: str = "i8x256"

    @property
    def super_blocks(self) -> int:
        return self.columns // 256

    def value(self, row: str, column: str) -> str:
        return f"{self.values} + {_listed(self.listed, row)} * {self.columns} + {column}"

    def scale(self, row: str, super_block: str) -> str:
        at = f"{_listed(self.listed, row)} * {self.super_blocks} + {super_block}"
        return f"scratch_f32[{self.scales} + {at}]"

    def sums_at(self, row: str, pair: str, halves: int = 1) -> str:
        """Two sums, of neighbouring blocks, or of a block's halves."""
        base = self.sums if halves == 1 else self.half_sums
        assert base is not None, "the memory plan keeps what a reader needs"
        pairs = self.columns // 64 * halves
        return f"scratch_i32[{base} + {_listed(self.listed, row)} * {pairs} + {pair}]"


@dataclass(frozen=True, slots=True)
class BfloatRows:
    """bf16[rows, columns] in scratch_i32, two adjacent columns an element."""

    columns: int
    base: int
    listed: str = ""

    form: str = "bf16"

    @property
    def pairs(self) -> int:
        return self.columns // 2

    def pair(self, row: str, pair: str) -> str:
        return f"{self.base} + {_listed(self.listed, row)} * {self.pairs} + {pair}"


@dataclass(frozen=True, slots=True)
class Panels:
    """A weight [rows, columns] in panels of 16 rows, somewhere in the arena of weights.

    A last unit that is not full has panels all the same, of zeros.
    """

    dtype: str
    rows: int
    columns: int
    base: str  # int64 expression

    @property
    def format(self) -> Format:
        return FORMATS[self.dtype]

    @property
    def units(self) -> int:
        return -(-self.rows // UNIT)

    @property
    def blocks(self) -> int:
        return self.columns // self.format.block

    @property
    def panel_bytes(self) -> int:
        return self.columns // self.format.stored_columns * self.format.nbytes

    def panel(self, index: str) -> str:
        """Where panel ``index`` begins, as an int64 expression."""
        return f"{self.base} + T.cast({index}, 'int64') * T.int64({self.panel_bytes})"


@dataclass(frozen=True, slots=True)
class ExpertPanels:
    """Weights [experts, rows, columns]: panels of one after the other's, whole units each."""

    dtype: str
    rows: int
    columns: int
    base: str  # int64 expression

    def of(self, expert: str) -> Panels:
        """The weight of one, by its number."""
        own = Panels(self.dtype, self.rows, self.columns, self.base)
        return replace(own, base=own.panel(f"{expert} * {2 * own.units}"))


@dataclass(frozen=True, slots=True)
class Vector:
    """f32 constants in the arena of weights: a norm's weight, a rope table."""

    base: str  # int64 expression, in bytes
    columns: int

    def vector(self, element: str) -> str:
        return f"f32_of(weights, {self._at(element)})"

    def scalar(self, element: str) -> str:
        return f"f32_scalar(weights, {self._at(element)})"

    def _at(self, element: str) -> str:
        return f"{self.base} + T.int64(4) * T.cast({element}, 'int64')"


@dataclass(frozen=True, slots=True)
class IntRows:
    """i32[rows, columns] in scratch_i32, one row after the other."""

    columns: int
    base: int

    def at(self, row: str, column: str) -> str:
        return f"scratch_i32[{self.base} + ({row}) * {self.columns} + {column}]"


@dataclass(frozen=True, slots=True)
class Array:
    """A one-dimensional argument of the step: tokens, positions, a page table, sampling rows."""

    buffer: str

    def at(self, index: str) -> str:
        return f"{self.buffer}[{index}]"


@dataclass(frozen=True, slots=True)
class Pages:
    """One stream of a KV group's pool: [page, layer, kv head, 16 x head size].

    Of quantised pages ``scales`` is the buffer [page, layer, kv head, head size / 32, 16].
    """

    buffer: str
    layers: int
    kv_heads: int
    head_dim: int
    scales: str = ""

    def head(self, page: str, layer: str, kv_head: str) -> str:
        """Where one head's part of a page begins, as an int64 expression."""
        return f"{self._head(page, layer, kv_head)} * {LANES * self.head_dim}"

    def head_scales(self, page: str, layer: str, kv_head: str) -> str:
        """Where its scales begin."""
        return f"{self._head(page, layer, kv_head)} * {LANES * self.head_dim // 32}"

    def _head(self, page: str, layer: str, kv_head: str) -> str:
        return (
            f"((T.cast({page}, 'int64') * {self.layers} + {layer}) * {self.kv_heads} + {kv_head})"
        )


Weight = Panels | ExpertPanels | Vector  # what lies in the arena of weights
Operand = (
    FloatRows
    | Int8Rows
    | SuperRows
    | BfloatRows
    | IntRows
    | Panels
    | ExpertPanels
    | Vector
    | Array
    | Pages
)


def _listed(numbers: str, row: str) -> str:
    return f"{numbers}[{row}]" if numbers else f"({row})"

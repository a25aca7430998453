"""elementwise: formulas of rows; a piece is a row, or a part of a long one worth claiming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.ir.ops.computed import OPERANDS
from inferflux.kernels.cut import rows_of, units_of
from inferflux.kernels.elementwise.spelling import spelling
from inferflux.kernels.kernel import Kernel, Schedule, StepShape
from inferflux.kernels.storage import Operand

UNITS = 128  # of 32 columns, in a piece at most


def parts_of_rows(node: Node, shape: StepShape) -> Iterator[Schedule]:
    yield {"parts": -(-units_of(node) // UNITS), "units": min(UNITS, units_of(node))}


def part_pieces(node: Node, schedule: Schedule) -> str:
    return f"{rows_of(node)} * {schedule['parts']}"


def computing(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    """``compute(formula, result, row, column)``: a formula's lines, of operands by their names."""
    leaves = {name: operand for name, operand in operands.items() if name in OPERANDS}

    def compute(formula: str, result: str, row: str, column: str, product: str = "") -> str:
        return spelling(formula, leaves, result, row, column, product)

    compute_: Callable[..., str] = compute
    return {"compute": compute_}


KERNELS = (
    Kernel(
        ops.elementwise,
        "elementwise/cpu.j2",
        ("out",),
        parts_of_rows,
        part_pieces,
        computing,
        overwrites=OPERANDS,
    ),
)

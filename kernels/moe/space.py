"""Mixtures of experts: routing by rows, slots by expert, products by experts and units of 32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from inferflux.ir import ops
from inferflux.ir.graph import Node
from inferflux.ir.ops.experts import LIMIT, SHARPNESS
from inferflux.kernels.cut import (
    PIECES,
    prefetches,
    row_pieces,
    rows_of,
    whole_rows,
    width_of,
)
from inferflux.kernels.kernel import Kernel, Schedule, Scratch, StepShape, no_parameters
from inferflux.kernels.storage import (
    LANES,
    UNIT,
    BfloatRows,
    ExpertPanels,
    FloatRows,
    Int8Rows,
    Operand,
    SuperRows,
)

Rows = FloatRows | Int8Rows | SuperRows | BfloatRows

MOST_ROWS = 8  # of int8 or floats that are computed together: what registers hold
BFLOAT_BLOCKS = (12, 8, 4)  # rows of bf16; fewer wait for each other's sums
COMBINED = 512  # columns of a piece that adds up experts


def expert_units(node: Node, shape: StepShape) -> Iterator[Schedule]:
    """How many units a piece has: so many that a lone token's experts make PIECES and more."""
    used = _num_used(node)
    units = max(1, _units(node) * used // (2 * PIECES)) if shape.row_block < MOST_ROWS else 2
    fixed = {"row_block": shape.row_block, "prefetch": prefetches(node, shape)[0]}
    yield {**fixed, "units": min(units, _units(node))}


def expert_pieces(node: Node, schedule: Schedule) -> str:
    """At most every slot has an expert of its own, and at most all experts are used."""
    groups = -(-_units(node) // schedule["units"])
    (num_experts, *_) = node.operands["groups"].type.shape
    return f"T.min({rows_of(node)} * {_num_used(node)}, {num_experts}) * {groups}"


def gate_up_rows(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    """Rows by token give rows by slot."""
    weight, x, out = operands["w_gate"], operands["x"], operands["out"]
    assert isinstance(weight, ExpertPanels)
    return {
        **_cut(weight, x, schedule),
        "x": _listed(x, weight.columns, "token_of"),
        "out": _listed(out, weight.rows, "slot_of"),
        "limit": LIMIT,
        "sharpness": SHARPNESS,
    }


def linear_rows(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    """Rows by token, or by slot where a token has one for each, give rows by slot."""
    weight, x, out = operands["weight"], operands["x"], operands["out"]
    assert isinstance(weight, ExpertPanels)
    assert isinstance(x, Rows)
    listed = "token_of" if x.columns == weight.columns else "slot_of"
    return {
        **_cut(weight, x, schedule),
        "x": _listed(x, weight.columns, listed),
        "out": _listed(out, weight.rows, "slot_of"),
    }


def _cut(weight: ExpertPanels, x: Operand, schedule: Schedule) -> Mapping[str, object]:
    groups = -(-(weight.rows // UNIT) // schedule["units"])
    return {"unit_groups": groups, "blocks": _blocks(x, schedule["row_block"])}


def _blocks(x: Operand, row_block: int) -> tuple[int, ...]:
    """How many rows are computed together, most first."""
    if isinstance(x, BfloatRows):
        return BFLOAT_BLOCKS
    return tuple(size for size in (MOST_ROWS, 4, 2, 1) if size <= row_block)


def _listed(rows: Operand, columns: int, listed: str) -> Rows:
    """Rows of so many columns, side by side or not, by a list of their numbers."""
    if isinstance(rows, FloatRows) and rows.columns != columns:
        return replace(rows, columns=columns, stride=columns, listed=listed)
    assert isinstance(rows, Rows)
    return replace(rows, columns=columns, listed=listed)


def _units(node: Node) -> int:
    return width_of(node) // _num_used(node) // UNIT


def _num_used(node: Node) -> int:
    used = node.operands["slots"].type.shape[1]
    assert isinstance(used, int), "the type rule asks for it"
    return used


def scores_of_a_row(node: Node) -> Scratch:
    """Scores, and what experts are wanted for."""
    experts = node.inputs[0].type.shape[1]
    assert isinstance(experts, int), "the type rule asks for it"
    return Scratch(worker=2 * -(-experts // LANES) * LANES)


def all_at_once(node: Node, schedule: Schedule) -> str:
    return "1"


def columns_of_a_row(node: Node, shape: StepShape) -> Iterator[Schedule]:
    yield {"columns": min(COMBINED, -(-width_of(node) // UNIT) * UNIT)}


def column_pieces(node: Node, schedule: Schedule) -> str:
    return f"{rows_of(node)} * {-(-width_of(node) // schedule['columns'])}"


def column_groups(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    out = operands["out"]
    assert isinstance(out, FloatRows)
    return {"column_groups": -(-out.columns // schedule["columns"])}


KERNELS = (
    Kernel(
        ops.route,
        "moe/route.j2",
        ("chosen", "shares"),
        whole_rows,
        row_pieces,
        no_parameters,
        scores_of_a_row,
    ),
    Kernel(
        ops.group_by_expert,
        "moe/group.j2",
        ("slots", "groups"),
        whole_rows,
        all_at_once,
        no_parameters,
    ),
    *(
        Kernel(op, "moe/gate_up.j2", ("out",), expert_units, expert_pieces, gate_up_rows)
        for op in (ops.expert_gate_up, ops.expert_gate_up_quantise)
    ),
    Kernel(ops.expert_linear, "moe/linear.j2", ("out",), expert_units, expert_pieces, linear_rows),
    Kernel(ops.combine, "moe/combine.j2", ("out",), columns_of_a_row, column_pieces, column_groups),
    Kernel(
        ops.combine_residual,
        "moe/combine.j2",
        ("out",),
        columns_of_a_row,
        column_pieces,
        column_groups,
        overwrites=("residual",),
    ),
    Kernel(ops.gate_rows, "moe/gate_rows.j2", ("out",), whole_rows, row_pieces, no_parameters),
)

"""Products of tokens with the weights of the experts that they go to, and what becomes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferflux.ir.graph import Array, gives, require
from inferflux.ir.ops.checks import (
    narrowed,
    require_f32,
    require_product,
    require_rows,
    static,
)
from inferflux.ir.ops.elementwise import ACTIVATIONS
from inferflux.ir.ops.linear import linear
from inferflux.ir.ops.route import logistic
from inferflux.ir.quantised import (
    Activations,
    BfloatRows,
    QuantisedRows,
    WeightRows,
    narrow,
)
from inferflux.ir.types import DTYPES, F32, I32, TensorType

CLAMPED = "clamped_swiglu"
SHARPNESS, LIMIT = 1.702, 7.0  # of gpt-oss: what the gate's logistic is of, and where both end
GATED = (*ACTIVATIONS, CLAMPED)

Weight = Array | WeightRows


@gives("gate_up")
def expert_gate_up(
    x: TensorType,
    slots: TensorType,
    groups: TensorType,
    w_gate: TensorType,
    w_up: TensorType,
    b_gate: TensorType | None = None,
    b_up: TensorType | None = None,
    *,
    activation: str = "silu",
) -> TensorType:
    """activation(x @ w_gate.T + b_gate) * (x @ w_up.T + b_up), with the weights of each expert.

    [T, D], i32[T, U], i32[E, 3], [E, F, D] x 2, f32[E, F] x 2 -> f32[T, U*F].  ``clamped_swiglu``
    (gpt-oss): g = min(gate, 7), u = up in -7..7: g * logistic(1.702 * g) * (u + 1).
    """
    width = _require_experts(x, slots, groups, w_gate, b_gate)
    _require_experts(x, slots, groups, w_up, b_up)
    require(w_gate.shape == w_up.shape, f"w_gate {w_gate} and w_up {w_up} differ in shape")
    require(activation in GATED, f"activation {activation!r} is not in {[*GATED]}")
    return TensorType(F32, (x.shape[0], static(slots.shape[1]) * width))


@expert_gate_up.meaning
def _(
    x: Array | Activations,
    slots: Array,
    groups: Array,
    w_gate: Weight,
    w_up: Weight,
    b_gate: Array | None = None,
    b_up: Array | None = None,
    *,
    activation: str = "silu",
) -> Array:
    gate = expert_linear.numpy(x, slots, groups, w_gate, b_gate)
    up = expert_linear.numpy(x, slots, groups, w_up, b_up)
    return gated(gate, up, activation)


def gated(gate: Array, up: Array, activation: str) -> Array:
    """The product of an activated gate and its values."""
    if activation != CLAMPED:
        return np.asarray(ACTIVATIONS[activation].numpy(gate) * up)
    gate, up = np.minimum(gate, np.float32(LIMIT)), np.clip(up, -LIMIT, LIMIT)
    return np.asarray(gate * logistic(np.float32(SHARPNESS) * gate) * (up + 1))


@gives("gate_up")
def expert_gate_up_quantise(
    x: TensorType,
    slots: TensorType,
    groups: TensorType,
    w_gate: TensorType,
    w_up: TensorType,
    b_gate: TensorType | None = None,
    b_up: TensorType | None = None,
    *,
    activation: str = "silu",
    to: str = "i8x32",
) -> TensorType:
    """quantise(expert_gate_up(...), to).  Operands as expert_gate_up -> i8x32 or bf16 [T, U*F]"""
    wide = expert_gate_up.rule(x, slots, groups, w_gate, w_up, b_gate, b_up, activation=activation)
    assert isinstance(wide, TensorType)
    return narrowed("the product", wide, to)


@expert_gate_up_quantise.meaning
def _(*operands: Any, activation: str = "silu", to: str = "i8x32") -> Activations:
    return narrow(expert_gate_up.numpy(*operands, activation=activation), DTYPES[to])


@gives("products")
def expert_linear(
    x: TensorType,
    slots: TensorType,
    groups: TensorType,
    weight: TensorType,
    bias: TensorType | None = None,
) -> TensorType:
    """In each slot x @ weight[e].T + bias[e] of its expert e.  Slots of a token are side by side.

    [T, K] or [T, U*K], i32[T, U], i32[E, 3], [E, N, K], f32[E, N] -> f32[T, U*N]
    """
    width = _require_experts(x, slots, groups, weight, bias)
    return TensorType(F32, (x.shape[0], static(slots.shape[1]) * width))


@expert_linear.meaning
def _(
    x: Array | Activations,
    slots: Array,
    groups: Array,
    weight: Weight,
    bias: Array | None = None,
) -> Array:
    num_tokens, num_used = slots.shape
    rows, order = _by_slot(x, _columns(weight), num_used), slots.reshape(-1)
    products: dict[int, Array] = {}
    for expert, first, end in groups[groups[:, 1] < groups[:, 2]]:
        own = order[first:end]
        product = linear.numpy(_taken(rows, own), weight[expert])
        products.update(zip(own, product if bias is None else product + bias[expert], strict=True))
    return np.concatenate([products[slot] for slot in range(order.size)]).reshape(num_tokens, -1)


@gives("combined")
def combine(products: TensorType, shares: TensorType) -> TensorType:
    """Sum over u, in order, of shares[t, u] * products[t, u].

    f32[T, U*D], f32[T, U] -> f32[T, D]
    """
    require_f32(products=products, shares=shares)
    require_rows(products=products, shares=shares)
    width, used = static(products.shape[1]), static(shares.shape[1])
    require(products.shape[0] == shares.shape[0], f"{products} and {shares} differ in tokens")
    require(width % used == 0, f"products {products} are not {used} for each row of {shares}")
    return TensorType(F32, (products.shape[0], width // used))


@combine.meaning
def _(products: Array, shares: Array) -> Array:
    by_slot = products.reshape(*shares.shape, -1)
    total = by_slot[:, 0] * shares[:, :1]
    for slot in range(1, shares.shape[1]):
        total = total + by_slot[:, slot] * shares[:, slot : slot + 1]
    return np.asarray(total)


@gives("x")
def combine_residual(products: TensorType, shares: TensorType, residual: TensorType) -> TensorType:
    """residual + combine(products, shares).  f32[T, U*D], f32[T, U], f32[T, D] -> f32[T, D]"""
    combined = combine.rule(products, shares)
    require(combined == residual, f"residual {residual} is not like the sum {combined}")
    return residual


@combine_residual.meaning
def _(products: Array, shares: Array, residual: Array) -> Array:
    return np.asarray(residual + combine.numpy(products, shares))


@gives("gated")
def gate_rows(x: TensorType, gate: TensorType) -> TensorType:
    """x * logistic(gate), one gate a row: a shared expert's.  f32[T, D], f32[T, 1] -> f32[T, D]"""
    require_f32(x=x, gate=gate)
    require_rows(x=x, gate=gate)
    require(gate.shape == (x.shape[0], 1), f"gate {gate} is not one number for each row of {x}")
    return x


@gate_rows.meaning
def _(x: Array, gate: Array) -> Array:
    return np.asarray(x * logistic(gate))


def _require_experts(
    x: TensorType,
    slots: TensorType,
    groups: TensorType,
    weight: TensorType,
    bias: TensorType | None,
) -> int:
    """Every slot's product exists; gives its width."""
    require_rows(x=x, slots=slots, groups=groups)
    require(slots.dtype == groups.dtype == I32, f"slots {slots} and groups {groups} must be i32")
    require(x.shape[0] == slots.shape[0], f"x {x} and slots {slots} differ in tokens")
    require(len(weight.shape) == 3, f"weight is {weight}, must be a matrix for each expert")
    experts, width, columns = (static(dim) for dim in weight.shape)
    require(groups.shape == (experts, 3), f"groups {groups} are not those of {experts} experts")
    by_slot = columns * static(slots.shape[1])
    require(x.shape[1] in (columns, by_slot), f"rows of x {x} do not fit weight {weight}")
    require_product(TensorType(x.dtype, (x.shape[0], columns)), _matrix(weight))
    if bias is not None:
        require_f32(bias=bias)
        require(bias.shape == weight.shape[:2], f"bias {bias} does not fit weight {weight}")
    return width


def _matrix(weight: TensorType) -> TensorType:
    """Of one expert."""
    return TensorType(weight.dtype, weight.shape[1:])


def _columns(weight: Weight) -> int:
    if isinstance(weight, WeightRows):
        return int(weight.raw.shape[-1]) // weight.dtype.block_bytes * weight.dtype.block
    return int(weight.shape[-1])


def _by_slot(x: Array | Activations, columns: int, num_used: int) -> Array | Activations:
    """The row of each slot: a token's own, or one of several that are side by side in it."""
    if isinstance(x, QuantisedRows):
        return QuantisedRows(
            _slot_rows(x.values, columns, num_used),
            _slot_rows(x.scales, columns // x.block, num_used),
        )
    if isinstance(x, BfloatRows):
        return BfloatRows(_slot_rows(x.values, columns, num_used))
    return _slot_rows(x, columns, num_used)


def _slot_rows(rows: Array, columns: int, num_used: int) -> Array:
    return rows.reshape(-1, columns) if rows.shape[1] != columns else rows.repeat(num_used, axis=0)


def _taken(rows: Array | Activations, index: Array) -> Array | Activations:
    if isinstance(rows, QuantisedRows):
        return QuantisedRows(rows.values[index], rows.scales[index])
    if isinstance(rows, BfloatRows):
        return BfloatRows(rows.values[index])
    return rows[index]

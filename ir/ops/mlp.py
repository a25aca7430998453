"""The gated feed-forward block: its two projections and what joins them."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, op, require
from inferflux.ir.ops.checks import narrowed, require_product, require_same_length
from inferflux.ir.ops.elementwise import ACTIVATIONS
from inferflux.ir.ops.linear import linear
from inferflux.ir.quantised import Activations, WeightRows, narrow
from inferflux.ir.types import DTYPES, F32, TensorType


@op
def gate_up(
    x_gate: TensorType,
    x_up: TensorType,
    w_gate: TensorType,
    w_up: TensorType,
    *,
    activation: str = "silu",
) -> TensorType:
    """activation(x_gate @ w_gate.T) * (x_up @ w_up.T).  [T, D] x 2, [F, D] x 2 -> f32[T, F]

    The two inputs are one value unless the weights' types want them differently.
    """
    require_product(x_gate, w_gate, x_name="x_gate")
    require_product(x_up, w_up, x_name="x_up")
    require_same_length(x_gate=x_gate, x_up=x_up)
    require(w_gate.shape == w_up.shape, f"w_gate {w_gate} and w_up {w_up} differ in shape")
    require(activation in ACTIVATIONS, f"activation {activation!r} is not in {[*ACTIVATIONS]}")
    return TensorType(F32, (x_gate.shape[0], w_gate.shape[0]))


@gate_up.meaning
def _(
    x_gate: Array | Activations,
    x_up: Array | Activations,
    w_gate: Array | WeightRows,
    w_up: Array | WeightRows,
    *,
    activation: str = "silu",
) -> Array:
    gate: Array = ACTIVATIONS[activation].numpy(linear.numpy(x_gate, w_gate))
    return np.asarray(gate * linear.numpy(x_up, w_up))


@gives("gate_up")
def gate_up_quantise(
    x_gate: TensorType,
    x_up: TensorType,
    w_gate: TensorType,
    w_up: TensorType,
    *,
    activation: str = "silu",
    to: str = "i8x32",
) -> TensorType:
    """quantise(gate_up(...), to).  Operands as gate_up -> i8x32 or bf16 [T, F]"""
    gate_up.rule(x_gate, x_up, w_gate, w_up, activation=activation)
    return narrowed("the product", TensorType(F32, (x_gate.shape[0], w_gate.shape[0])), to)


@gate_up_quantise.meaning
def _(
    x_gate: Array | Activations,
    x_up: Array | Activations,
    w_gate: Array | WeightRows,
    w_up: Array | WeightRows,
    *,
    activation: str = "silu",
    to: str = "i8x32",
) -> Activations:
    return narrow(gate_up.numpy(x_gate, x_up, w_gate, w_up, activation=activation), DTYPES[to])

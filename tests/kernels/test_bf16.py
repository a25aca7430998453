"""Products of bf16 against their meaning: every weight type, in families, rows in many blocks."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BF16, F16, F32, Q4_0, Q4_1, Q8_0, tensor

ROWS = (1, 12, 13, 31)


def rows(columns, dim="T"):
    return Value(tensor(F32, dim, columns), "x")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("dtype", [F16, BF16, Q4_0, Q4_1, Q8_0], ids=str)
@pytest.mark.parametrize(("outputs", "inputs"), [(32, 32), (50, 96)])
def test_linear(compile_bf16, assert_close, dtype, outputs, inputs):
    x = rows(inputs)
    weight = Value(tensor(dtype, outputs, inputs), "w", sources=("w",))
    step = compile_bf16(Graph((x,), (ops.linear(ops.quantise(x, to="bf16"), weight),), (weight,)))
    for count in ROWS:
        given = {"x": normal(count, inputs, seed=count)}
        assert_close(step(given)[0], step.meaning(given)[0])


def test_linear_residual_adds_in_place(compile_bf16, assert_close):
    x, before = rows(64), Value(tensor(F32, "T", 40), "residual")
    weight = Value(tensor(Q4_1, 40, 64), "w", sources=("w",))
    out = ops.linear_residual(ops.quantise(x, to="bf16"), weight, before)
    step = compile_bf16(Graph((x, before), (out,), (weight,)))
    given = {"x": normal(14, 64), "residual": normal(14, 40)}
    assert_close(step(given)[0], step.meaning(given)[0])


def test_a_norm_rounds_to_even(compile_bf16, assert_close):
    x, weight = rows(64), Value(tensor(F32, 64), "w", sources=("w",))
    step = compile_bf16(
        Graph((x,), (ops.rms_norm_quantise(x, weight, eps=1e-5, to="bf16"),), (weight,))
    )
    given = {"x": normal(5, 64)}
    assert_close(step(given)[0], step.meaning(given)[0])


def test_gate_up_reads_and_makes_bf16(compile_bf16, assert_close):
    x = rows(64)
    gate = Value(tensor(Q4_1, 96, 64), "gate", sources=("gate",))
    up = Value(tensor(Q8_0, 96, 64), "up", sources=("up",))
    narrow = ops.quantise(x, to="bf16")
    out = ops.gate_up_quantise(narrow, narrow, gate, up, activation="silu", to="bf16")
    step = compile_bf16(Graph((x,), (out,), (gate, up)))
    for count in ROWS:
        given = {"x": normal(count, 64, seed=count)}
        assert_close(step(given)[0], step.meaning(given)[0])


def test_a_float32_weight_keeps_float32_rows_beside_bf16(compile_bf16, assert_close):
    x = rows(64)
    gate = Value(tensor(F32, 64, 64), "gate", sources=("gate",))
    up = Value(tensor(Q4_1, 64, 64), "up", sources=("up",))
    out = ops.gate_up(x, ops.quantise(x, to="bf16"), gate, up, activation="silu")
    step = compile_bf16(Graph((x,), (out,), (gate, up)))
    for count in ROWS:
        given = {"x": normal(count, 64, seed=count)}
        assert_close(step(given)[0], step.meaning(given)[0])


def test_a_row_does_not_depend_on_its_neighbours(compile_bf16):
    x = rows(96)
    weight = Value(tensor(Q4_1, 64, 96), "w", sources=("w",))
    step = compile_bf16(Graph((x,), (ops.linear(ops.quantise(x, to="bf16"), weight),), (weight,)))
    many = normal(25, 96)
    together = step({"x": many})[0]
    for row in (0, 11, 12, 24):
        np.testing.assert_array_equal(step({"x": many[row : row + 1]})[0][0], together[row])

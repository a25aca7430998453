"""elementwise and linear_then against their meaning: formulas alone, and of a product."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BF16, F16, F32, Q4_1, Q6_K, tensor

ROWS = (1, 3, 17)
EVERY_OP = (
    "add(soft_cap(gelu(a), cap=3.0), scale(multiply(silu(b), gelu_tanh(add_bias(a, c))), by=0.25))"
)


def rows(count, width, seed=0):
    return np.random.default_rng((count, seed)).normal(0, 2, (count, width)).astype(np.float32)


def of_rows(width, *, formula=EVERY_OP, to="f32"):
    a, b = (Value(tensor(F32, "T", width), name) for name in "ab")
    bias = Value(tensor(F32, width), "bias", sources=("bias",))
    return Graph((a, b), (ops.elementwise(a, b, bias, formula=formula, to=to),), (bias,))


@pytest.mark.parametrize(("width", "to"), [(40, "f32"), (64, "i8x32")])
def test_every_op_of_a_formula(compile_graph, assert_close, width, to):
    step = compile_graph(of_rows(width, to=to))
    for count in ROWS:
        given = {"a": rows(count, width), "b": rows(count, width, 1)}
        assert_close(step(given)[0], step.meaning(given)[0])


def test_a_long_row_is_several_pieces(compile_graph, assert_close):
    width = 2 * 4096 + 32
    step = compile_graph(of_rows(width, formula="add(a, add_bias(b, c))"))
    given = {"a": rows(3, width), "b": rows(3, width, 1)}
    assert_close(step(given)[0], step.meaning(given)[0])


def product_then(dtype, width, hidden, *, formula, to="f32", is_integer=False):
    """Of a product, a residual a and a bias b."""
    x, a = Value(tensor(F32, "T", hidden), "x"), Value(tensor(F32, "T", width), "a")
    weight = Value(tensor(dtype, width, hidden), "w", sources=("w",))
    bias = Value(tensor(F32, width), "bias", sources=("bias",))
    read = ops.quantise(x) if is_integer else x
    out = ops.linear_then(read, weight, a, bias, formula=formula, to=to)
    return Graph((x, a), (out,), (weight, bias))


RESIDUAL = "add(a, scale(add_bias(product, b), by=0.22))"


@pytest.mark.parametrize(
    ("dtype", "is_integer", "row_block", "width", "to"),
    [
        (Q4_1, True, 1, 96, "f32"),
        (Q6_K, True, 8, 64, "i8x32"),
        (F16, False, 4, 33, "f32"),
    ],
)
def test_linear_then(compile_graph, assert_close, dtype, is_integer, row_block, width, to):
    graph = product_then(dtype, width, 256, formula=RESIDUAL, to=to, is_integer=is_integer)
    step = compile_graph(graph, row_block)
    for count in ROWS:
        # Whole multiples of 1/127 of their largest, so that quantising them rounds nothing.
        x = np.random.default_rng(count).integers(-127, 128, (count, 256)) / np.float32(16)
        x[:, ::32] = 127 / 16
        given = {"x": x.astype(np.float32), "a": rows(count, width)}
        assert_close(step(given)[0], step.meaning(given)[0])


def test_linear_then_of_bf16_rows(compile_bf16, assert_close):
    x, a = Value(tensor(F32, "T", 64), "x"), Value(tensor(F32, "T", 96), "a")
    weight = Value(tensor(BF16, 96, 64), "w", sources=("w",))
    formula = "add(a, gelu(product))"
    out = ops.linear_then(ops.quantise(x, to="bf16"), weight, a, formula=formula)
    step = compile_bf16(Graph((x, a), (out,), (weight,)))
    given = {"x": rows(17, 64), "a": rows(17, 96)}
    assert_close(step(given)[0], step.meaning(given)[0])


def test_a_row_does_not_depend_on_how_many_others_there_are(compile_graph):
    graph = product_then(Q4_1, 64, 64, formula=RESIDUAL, is_integer=True)
    given = {"x": rows(17, 64), "a": rows(17, 64)}
    one = compile_graph(graph, 1)
    alone = [one({name: each[row : row + 1] for name, each in given.items()}) for row in range(17)]
    together = compile_graph(graph, 8)(given)[0]
    np.testing.assert_array_equal(np.concatenate([row[0] for row in alone]), together)

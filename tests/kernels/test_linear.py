"""linear and linear_residual against their meaning: every weight type, row block and raggedness."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BF16, F16, F32, Q4_0, Q4_1, Q8_0, tensor

ROWS = (1, 3, 8, 9, 17)

# weight, are activations int8, row block, outputs N, inputs K
CASES = [
    (F32, False, 1, 40, 7),
    (F32, False, 8, 16, 33),
    (F16, False, 4, 1, 48),
    (F16, False, 2, 320, 5),
    (BF16, False, 4, 33, 7),
    (BF16, False, 1, 16, 48),
    (Q4_0, False, 2, 50, 64),
    (Q4_0, False, 1, 16, 32),
    (Q4_1, False, 1, 50, 32),
    (Q4_1, False, 4, 16, 96),
    (Q8_0, False, 8, 33, 64),
    (Q8_0, False, 2, 16, 32),
    (Q4_0, True, 1, 544, 64),
    (Q4_0, True, 2, 15, 32),
    (Q4_0, True, 4, 48, 160),
    (Q4_0, True, 8, 100, 96),
    (Q4_1, True, 1, 544, 64),
    (Q4_1, True, 2, 15, 32),
    (Q4_1, True, 4, 48, 160),
    (Q4_1, True, 8, 100, 96),
    (Q8_0, True, 1, 17, 32),
    (Q8_0, True, 2, 576, 64),
    (Q8_0, True, 4, 16, 96),
    (Q8_0, True, 8, 31, 160),
]


def product(dtype, is_integer, outputs, inputs, *, residual=False, rows="T"):
    x = Value(tensor(F32, rows, inputs), "x")
    weight = Value(tensor(dtype, outputs, inputs), "w", sources=("w",))
    given = ops.quantise(x) if is_integer else x
    if not residual:
        return Graph((x,), (ops.linear(given, weight),), (weight,))
    before = Value(tensor(F32, rows, outputs), "residual")
    return Graph((x, before), (ops.linear_residual(given, weight, before),), (weight,))


def activations(rows, columns, seed=0):
    """Rows whose quantised values are whole numbers of 1/127 of their largest: no rounding."""
    random = np.random.default_rng(seed)
    whole = random.integers(-127, 128, (rows, columns))
    whole[:, ::32] = 127 * random.choice([-1, 1], whole[:, ::32].shape)
    blocks = -(-columns // 32)
    scale = np.repeat(random.uniform(1e-3, 1e-1, (rows, blocks)), 32, axis=1)[:, :columns]
    return (whole * scale).astype(np.float32)


@pytest.mark.parametrize(("dtype", "is_integer", "row_block", "outputs", "inputs"), CASES)
def test_linear(compile_graph, assert_close, dtype, is_integer, row_block, outputs, inputs):
    step = compile_graph(product(dtype, is_integer, outputs, inputs), row_block)
    for rows in ROWS:
        given = {"x": activations(rows, inputs, seed=rows)}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize(
    ("dtype", "is_integer", "row_block"),
    [(F32, False, 4), (BF16, False, 1), (Q4_0, True, 4), (Q4_1, True, 1), (Q8_0, True, 4)],
)
def test_linear_residual_adds_in_place(compile_graph, assert_close, dtype, is_integer, row_block):
    step = compile_graph(product(dtype, is_integer, 40, 64, residual=True), row_block)
    graph = step.graph
    assert step.memory.operands[graph.outputs[0]] == step.memory.operands[graph.inputs[1]]
    for rows in ROWS:
        before = np.random.default_rng(rows).normal(0, 1, (rows, 40)).astype(np.float32)
        given = {"x": activations(rows, 64), "residual": before}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize("row_block", [1, 4])
def test_a_head_takes_one_row_or_many(compile_graph, assert_close, row_block):
    step = compile_graph(product(Q8_0, True, 37, 64, rows="R"), row_block, vocab_size=37)
    for rows in ROWS:
        given = {"x": activations(rows, 64)}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize(
    ("dtype", "is_integer"), [(F16, False), (BF16, False), (Q4_0, True), (Q8_0, True)]
)
def test_a_row_does_not_depend_on_its_block_nor_on_its_neighbours(
    compile_graph, cpu_target, dtype, is_integer
):
    given = {"x": activations(17, 64)}
    graph = product(dtype, is_integer, 48, 64)
    alone, *blocks = (compile_graph(graph, row_block) for row_block in cpu_target.row_blocks)
    rows = np.concatenate([alone({"x": given["x"][[row]]})[0] for row in range(17)])
    for step in (alone, *blocks):
        np.testing.assert_array_equal(step(given)[0], rows)


@pytest.mark.parametrize("dtype", [Q4_0, Q4_1, Q8_0])
def test_a_row_of_zeros_gives_zeros(compile_graph, dtype):
    step = compile_graph(product(dtype, True, 16, 64))
    np.testing.assert_array_equal(step({"x": np.zeros((3, 64), np.float32)})[0], 0)


@pytest.mark.parametrize("dtype", [Q4_0, Q4_1, Q8_0])
@pytest.mark.parametrize("magnitude", [1e-30, 1e30])
def test_integer_products_hold_at_any_magnitude(compile_graph, assert_close, dtype, magnitude):
    step = compile_graph(product(dtype, True, 16, 64))
    given = {"x": activations(3, 64) * np.float32(magnitude)}
    assert_close(step(given)[0], step.meaning(given)[0])

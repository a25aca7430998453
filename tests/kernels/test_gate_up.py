"""gate_up and gate_up_quantise against their meaning."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BF16, F16, F32, Q4_0, Q4_1, Q8_0, tensor

ROWS = (1, 3, 8, 9, 17)

# gate, up, is x int8 for gate, for up; row block, F, D
CASES = [
    (F32, F32, False, False, 1, 40, 33),
    (F16, F16, False, False, 4, 16, 48),
    (Q4_1, Q8_0, False, False, 2, 33, 32),
    (Q4_1, Q4_1, True, True, 1, 544, 64),
    (Q4_1, Q4_1, True, True, 4, 96, 96),
    (Q8_0, Q8_0, True, True, 8, 50, 64),
    (Q8_0, F16, True, False, 4, 64, 32),
    (Q4_0, BF16, True, False, 2, 48, 64),
]


def gated(op, gate, up, gate_integer, up_integer, width, hidden, **attrs):
    x = Value(tensor(F32, "T", hidden), "x")
    weights = tuple(
        Value(tensor(dtype, width, hidden), name, sources=(name,))
        for name, dtype in (("gate", gate), ("up", up))
    )
    integer = ops.quantise(x) if gate_integer or up_integer else x
    given = (integer if gate_integer else x, integer if up_integer else x)
    return Graph((x,), (op(*given, *weights, **attrs),), weights)


def activations(rows, columns):
    """Whole numbers of 1/127 of their largest, so that quantising them rounds nothing."""
    random = np.random.default_rng(rows)
    whole = random.integers(-127, 128, (rows, columns))
    whole[:, ::32] = 127
    return (whole * random.uniform(0.01, 0.1, (rows, 1))).astype(np.float32)


@pytest.mark.parametrize(
    ("gate", "up", "gate_integer", "up_integer", "row_block", "width", "hidden"), CASES
)
def test_gate_up(
    compile_graph, assert_close, gate, up, gate_integer, up_integer, row_block, width, hidden
):
    graph = gated(ops.gate_up, gate, up, gate_integer, up_integer, width, hidden)
    step = compile_graph(graph, row_block)
    for rows in ROWS:
        given = {"x": activations(rows, hidden)}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize(
    ("dtype", "is_integer", "row_block", "width"),
    [(Q4_1, True, 1, 96), (Q4_1, True, 8, 32), (Q8_0, True, 4, 64), (F16, False, 2, 544)],
)
def test_gate_up_quantise(compile_graph, assert_close, dtype, is_integer, row_block, width):
    graph = gated(ops.gate_up_quantise, dtype, dtype, is_integer, is_integer, width, 64)
    step = compile_graph(graph, row_block)
    for rows in ROWS:
        given = {"x": activations(rows, 64)}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize("op", [ops.gate_up, ops.gate_up_quantise])
def test_gates_far_from_zero_neither_overflow_nor_leak(compile_graph, assert_close, op):
    """Weights of one for the gate, and rows of one number g: silu(2 g) times 2 g * w."""
    step = compile_graph(gated(op, F32, F32, False, False, 32, 2))
    gates = np.array([[-1e18], [-200], [-88], [-44], [-0.0], [44], [88], [1e18]], np.float32)
    for gate in gates:
        given = {"x": np.tile(gate, (1, 2))}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_activations(compile_graph, assert_close, activation):
    """Gates from -40 to 40, densest where the activation bends."""
    graph = gated(ops.gate_up, F32, F32, False, False, 32, 2, activation=activation)
    step = compile_graph(graph, 4)
    for gate in (0.01, 0.3, 1, 4, 40):
        given = {"x": np.linspace(-gate, gate, 34, dtype=np.float32).reshape(17, 2)}
        assert_close(step(given)[0], step.meaning(given)[0])

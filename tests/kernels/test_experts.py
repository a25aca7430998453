"""Routing, grouping, the products of experts and their sums against their meaning."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BF16, F32, MXFP4, Q4_1, Q4_K, Q6_K, Q8_0, tensor

ROWS = (1, 2, 5, 19)
ROUTES = [  # experts, attributes, is there a bias
    (60, {"num_used": 4, "normalised": False}, False),
    (
        64,
        {
            "num_used": 6,
            "scoring": "sigmoid",
            "scale": 2.5,
            "num_groups": 8,
            "num_used_groups": 3,
            "group_best": 2,
        },
        True,
    ),
]


def floats(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("experts", "attrs", "has_bias"), ROUTES)
def test_route_and_group(compile_graph, assert_close, experts, attrs, has_bias):
    logits = Value(tensor(F32, "T", experts), "router")
    bias = Value(tensor(F32, experts), "bias", sources=("bias",))
    operands = (logits, bias) if has_bias else (logits,)
    chosen, shares = ops.route(*operands, **attrs)
    slots, groups = ops.group_by_expert(chosen, num_experts=experts)
    step = compile_graph(Graph((logits,), (chosen, shares, slots, groups), operands[1:]))
    for rows in ROWS:
        given = {"router": floats(rows, rows, experts)}
        got, expected = step(given), step.meaning(given)
        assert_close(got[1], expected[1])
        for at in (0, 2, 3):
            np.testing.assert_array_equal(got[at], expected[at])


EXPERTS, USED = 6, 2


def layer_of_experts(
    gate, up, down, width, hidden, *, activation="silu", has_bias=False, to=None, inside=None
):
    """A whole layer, its logits an input; ``to``, ``inside``: what activations are narrowed to."""
    x, logits = Value(tensor(F32, "T", hidden), "x"), Value(tensor(F32, "T", EXPERTS), "router")
    weights = {
        name: Value(tensor(dtype, EXPERTS, rows, columns), name, sources=(name,))
        for name, dtype, rows, columns in (
            ("gate", gate, width, hidden),
            ("up", up, width, hidden),
            ("down", down, hidden, width),
        )
    }
    if has_bias:
        weights |= {
            name: Value(tensor(F32, EXPERTS, rows), name, sources=(name,))
            for name, rows in (("b_gate", width), ("b_up", width), ("b_down", hidden))
        }
    gates = [value for name, value in weights.items() if "down" not in name]
    chosen, shares = ops.route(logits, num_used=USED)
    order = ops.group_by_expert(chosen, num_experts=EXPERTS)
    if to:
        given = ops.quantise(x, to=to)
        inner = ops.expert_gate_up_quantise(given, *order, *gates, activation=activation, to=inside)
    else:
        inner = ops.expert_gate_up(x, *order, *gates, activation=activation)
    downs = [value for name, value in weights.items() if "down" in name]
    products = ops.expert_linear(inner, *order, *downs)
    out = ops.combine_residual(products, shares, x)
    return Graph((x, logits), (out,), tuple(weights.values()))


def whole_numbers(seed, rows, columns):
    """Whole numbers of 1/127 of their largest, so that quantising them rounds nothing."""
    random = np.random.default_rng(seed)
    whole = random.integers(-127, 128, (rows, columns))
    whole[:, ::32] = 127
    return (whole * random.uniform(0.01, 0.03, (rows, 1))).astype(np.float32)


CASES = [
    ((F32, Q8_0, F32), 4, 64, 64, {"activation": "clamped_swiglu", "has_bias": True}),
    ((Q4_K, Q4_K, Q6_K), 8, 256, 256, {"to": "i8x256", "inside": "i8x32"}),
]


def inputs(rows, hidden):
    return {"x": whole_numbers(rows, rows, hidden), "router": floats(rows, rows, EXPERTS)}


@pytest.mark.parametrize(("types", "row_block", "width", "hidden", "options"), CASES)
def test_a_layer_of_experts(compile_graph, types, row_block, width, hidden, options):
    step = compile_graph(layer_of_experts(*types, width, hidden, **options), row_block)
    for rows in ROWS:
        given = inputs(rows, hidden)
        (got,), (expected,) = step(given), step.meaning(given)
        narrow = 0.02 if options.get("to") else 2e-5  # a value nearly halfway rounds either way
        np.testing.assert_allclose(got, expected, rtol=0, atol=narrow * np.abs(expected).max())


def test_a_layer_of_experts_in_bf16(compile_bf16):
    graph = layer_of_experts(MXFP4, BF16, Q4_1, 64, 96, to="bf16", inside="bf16", has_bias=True)
    step = compile_bf16(graph)
    for rows in (1, 31):
        given = inputs(rows, 96)
        (got,), (expected,) = step(given), step.meaning(given)
        np.testing.assert_allclose(got, expected, rtol=0, atol=0.01 * np.abs(expected).max())


def test_an_expert_that_no_token_goes_to_is_not_read_and_neighbours_change_nothing(compile_graph):
    """Every weight of the unused expert is NaN; each token is then computed by itself, too."""
    graph = layer_of_experts(F32, F32, F32, 32, 32)
    step = compile_graph(graph, 4)
    unused, given = 2, inputs(11, 32)
    given["router"][:, unused] = -1e3
    weights = step.arena[: len(graph.weights) * EXPERTS * 32 * 32 * 4].view(np.float32)
    weights.reshape(len(graph.weights), EXPERTS, -1)[:, unused] = np.nan
    (together,) = step(given)
    assert np.isfinite(together).all()
    for row in range(11):
        (alone,) = step({name: rows[row : row + 1] for name, rows in given.items()})
        np.testing.assert_array_equal(alone[0], together[row])


def test_gate_rows(compile_graph, assert_close):
    x, gate = Value(tensor(F32, "T", 33), "x"), Value(tensor(F32, "T", 1), "gate")
    step = compile_graph(Graph((x, gate), (ops.gate_rows(x, gate),)))
    given = {"x": floats(1, 3, 33), "gate": np.array([[-99], [0.5], [3]], np.float32)}
    assert_close(step(given)[0], step.meaning(given)[0])

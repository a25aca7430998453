"""Layers as a loop: what differs by layer is read by layer, what differs by kind has a body."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Stacked, Value
from inferflux.ir.types import F16, F32, I32, Q8_0, tensor

HEAD_DIM, WIDTH, NUM_PAGES, LAYERS = 32, 64, 4, 5
INPUTS = {
    "x": tensor(F32, "T", WIDTH),
    "k.0": tensor(F32, "N", LAYERS, 1, HEAD_DIM, 16),
    "v.0": tensor(F32, "N", LAYERS, 1, 16, HEAD_DIM),
    "positions": tensor(I32, "T"),
    "sequences": tensor(I32, "T"),
    "pages.0": tensor(I32, "B", "M"),
}


def body(dtype, **attrs):
    """x + W @ attention(x)"""
    x, keys, values, *where = inputs = [Value(type_, name) for name, type_ in INPUTS.items()]
    weight = Value(tensor(dtype, WIDTH, WIDTH), "w")
    attended = ops.attention(x, keys, values, *where, head_dim=HEAD_DIM, **attrs)
    return Graph(tuple(inputs), (ops.linear_residual(attended, weight, x),), (weight,))


def layers(bodies, kinds, **stacked):
    inputs = [Value(type_, name) for name, type_ in INPUTS.items()]
    stacks = []
    for kind, each in enumerate(bodies):
        own = [f"{layer}.w" for layer, of in enumerate(kinds) if of == kind]
        type_ = tensor(each.weights[0].type.dtype, len(own), WIDTH, WIDTH)
        stacks.append(Value(type_, f"w{kind}", sources=tuple(own)))
    attrs = {"kinds": kinds, **stacked}
    node = ops.repeat.node((*inputs, *stacks), attrs, bodies)
    # The last rows go through take_rows, as in a model: what is carried is updated in place.
    rows = Value(tensor(I32, "R"), "rows")
    taken = ops.take_rows(node.results[0], rows)
    return Graph((*inputs, rows), (taken,), tuple(stacks))


def step():
    random = np.random.default_rng(0)
    shape = (NUM_PAGES, LAYERS, 1, HEAD_DIM, 16)
    return {
        "x": random.normal(0, 1, (5, WIDTH)).astype(np.float32),
        "k.0": random.normal(0, 1, shape).astype(np.float32),
        "v.0": random.normal(0, 1, shape).reshape(*shape[:3], 16, -1).astype(np.float32),
        "positions": np.array([20, 21, 22, 3, 40], np.int32),
        "sequences": np.array([0, 0, 0, 1, 1], np.int32),
        "pages.0": np.array([[2, 0, 1], [3, 1, 0]], np.int32),
        "rows": np.array([4, 0, 2], np.int32),
    }


def test_numbers_that_differ_by_layer_are_the_layers_own(compile_graph, assert_close):
    stacked = body(F16, layer=Stacked("layer"), scale=Stacked("scale"), window=Stacked("window"))
    compiled = compile_graph(
        layers(
            (stacked,),
            (0,) * LAYERS,
            layer=(4, 0, 1, 3, 2),
            scale=(0.25, 0.5, 0.125, 1.5, 0.25),
            window=(3, 40, 17, 1, 16),
        )
    )
    assert_close(compiled(step())[0], compiled.meaning(step())[0])


def test_a_number_only_some_kinds_have_does_not_disturb_the_others(compile_graph, assert_close):
    windowed = body(F16, layer=Stacked("layer"), scale=0.2, window=Stacked("window"))
    full = body(Q8_0, layer=Stacked("layer"), scale=0.3)
    graph = layers(
        (windowed, full),
        (0, 1, 1, 0, 1),
        layer=tuple(range(LAYERS)),
        window=(3, None, None, 18, None),
    )
    compiled = compile_graph(graph)
    assert_close(compiled(step())[0], compiled.meaning(step())[0])


@pytest.mark.parametrize("kinds", [(0, 1, 2), (2, 1, 0, 1, 2), (0, 1, 1, 1, 2)])
def test_each_layer_has_the_body_and_the_weights_of_its_kind(compile_graph, assert_close, kinds):
    """Kinds differ in their weight's type, in their scale and in which pages they read."""
    bodies = tuple(
        body(dtype, layer=kind, scale=(kind + 1) / 8) for kind, dtype in enumerate((F16, Q8_0, F32))
    )
    compiled = compile_graph(layers(bodies, kinds))
    assert_close(compiled(step())[0], compiled.meaning(step())[0])

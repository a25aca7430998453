"""The interpreter finds what a graph needs by name, and says what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.interpret import MissingInput, interpret
from inferflux.ir.types import F32, Q4_1, tensor


@pytest.fixture
def model(tiny_llama):
    return tiny_llama([tiny_llama.layer(Q4_1)])


def test_inputs_are_left_as_they_were(model):
    before = {name: array.copy() for name, array in model.inputs.items()}
    model.outputs()
    for name, array in model.inputs.items():
        np.testing.assert_array_equal(array, before[name])


def test_a_missing_input_is_named(model):
    del model.inputs["slots.0"]
    with pytest.raises(MissingInput, match=r"input 'slots\.0' is not given"):
        model.outputs()


def test_a_missing_tensor_is_named(model):
    del model.tensors["blk.0.ffn_up.weight"]
    with pytest.raises(MissingInput, match=r"tensor 'blk\.0\.ffn_up\.weight' is not given"):
        model.outputs()


def test_repeat_gives_each_layer_its_own_weights_and_numbers():
    """y = y @ w[l].T twice, and a body that hands on what it does not touch."""
    y, still = (Value(tensor(F32, "T", 2), name) for name in ("y", "still"))
    w = Value(tensor(F32, 2, 2), "w")
    body = Graph((y, still), (ops.linear(y, w), still), (w,))
    stack = Value(tensor(F32, 2, 2, 2), "w", sources=("a", "b"))
    node = ops.repeat.node([y, still, stack], {"kinds": (0, 0)}, (body,))
    graph = Graph((y, still), node.results, (stack,))
    a, b, x = (np.random.default_rng(n).standard_normal((2, 2)).astype("f4") for n in range(3))
    out, same = interpret(graph, {"y": x, "still": -x}, {"a": a, "b": b})
    np.testing.assert_allclose(out, x @ a.T @ b.T, rtol=1e-6)
    np.testing.assert_array_equal(same, -x)

"""linear_heads and join_heads against their meaning."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import F32, Q6_K, Q8_0, tensor


def rows(name, width):
    return Value(tensor(F32, "T", width), name)


@pytest.mark.parametrize(
    ("dtype", "shape", "row_block"),
    [
        (F32, (3, 32, 48), 2),
        (Q8_0, (4, 32, 64), 4),
        (Q6_K, (2, 32, 256), 2),
    ],
    ids=str,
)
def test_linear_heads(compile_graph, assert_close, dtype, shape, row_block):
    x = rows("x", shape[0] * shape[2])
    weight = Value(tensor(dtype, *shape), "w", sources=("w",))
    step = compile_graph(Graph((x,), (ops.linear_heads(x, weight),), (weight,)), row_block)
    for count in (1, 5):
        given = {"x": np.random.default_rng(count).normal(size=(count, x.type.shape[1]))}
        given = {name: each.astype(np.float32) for name, each in given.items()}
        assert_close(step(given)[0], step.meaning(given)[0])


def test_linear_heads_beside_products_of_bf16(compile_bf16, assert_close):
    x, weight = rows("x", 3 * 64), Value(tensor(Q8_0, 3, 32, 64), "w", sources=("w",))
    step = compile_bf16(Graph((x,), (ops.linear_heads(x, weight),), (weight,)))
    given = {"x": np.random.default_rng(0).normal(size=(30, 3 * 64)).astype(np.float32)}
    assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize("sizes", [(3, 32, 16), (1, 12, 6)], ids=str)
def test_join_heads(compile_graph, sizes):
    num_heads, first, second = sizes
    x, y = rows("x", num_heads * first), rows("y", num_heads * second)
    step = compile_graph(Graph((x, y), (ops.join_heads(x, y, num_heads=num_heads),)))
    random = np.random.default_rng(1)
    given = {
        value.hint: random.normal(size=(3, value.type.shape[1])).astype(np.float32)
        for value in (x, y)
    }
    np.testing.assert_array_equal(step(given)[0], step.meaning(given)[0])

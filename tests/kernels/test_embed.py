"""embed and take_rows against their meaning: rows fetched by an index, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BF16, F16, F32, I32, Q4_0, Q4_1, Q8_0, tensor


def embedding(dtype, rows, columns):
    tokens = Value(tensor(I32, "T"), "tokens")
    weight = Value(tensor(dtype, rows, columns), "w", sources=("w",))
    return Graph((tokens,), (ops.embed(tokens, weight),), (weight,))


@pytest.mark.parametrize(
    ("dtype", "rows", "columns"),
    [
        (F32, 37, 40),
        (F16, 16, 33),
        (F16, 37, 64),
        (BF16, 37, 33),
        (Q4_0, 37, 64),
        (Q4_0, 16, 32),
        (Q4_1, 37, 32),
        (Q4_1, 64, 96),
        (Q8_0, 37, 96),
        (Q8_0, 1, 32),
    ],
)
def test_embed_gives_every_row(compile_graph, assert_close, dtype, rows, columns):
    step = compile_graph(embedding(dtype, rows, columns))
    order = np.random.default_rng(0).permutation(rows).astype(np.int32)
    for tokens in (*np.array_split(order, -(-rows // 17)), np.zeros(3, np.int32)):
        given = {"tokens": tokens}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize("columns", [7, 64])
def test_take_rows_may_repeat_and_reorder(compile_graph, columns):
    x, rows = Value(tensor(F32, "T", columns), "x"), Value(tensor(I32, "R"), "rows")
    step = compile_graph(Graph((x, rows), (ops.take_rows(x, rows),)))
    values = np.random.default_rng(0).normal(0, 1, (17, columns)).astype(np.float32)
    chosen = np.array([16, 0, 3, 3, 5], np.int32)
    (taken,) = step({"x": values, "rows": chosen})
    np.testing.assert_array_equal(taken, values[chosen])

"""Every block format of weights in every arithmetic, by few rows and by many, of odd sizes."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BLOCKS, F32, I32, Q4_0, Q4_1, Q4_K, Q6_K, Q8_0, tensor

# The others have files of their own.
FORMATS = [dtype for dtype in BLOCKS if dtype not in (Q4_0, Q4_1, Q8_0)]
ROWS = (1, 3, 16, 33, 512)
ROW_BLOCKS = {"iq4_nl": 1, "q6_k": 1, "q5_1": 2}
OUTPUTS = 50  # no whole number of panels, nor of units


def width(dtype):
    """Of more than one super-block, or an odd number of blocks."""
    return 768 if dtype.block == 256 else 96


def weight(dtype, outputs=OUTPUTS):
    return Value(tensor(dtype, outputs, width(dtype)), "w", sources=("w",))


def rows_of(count, columns, block=32):
    """Whole numbers of 1/127 of the largest of their block, so that quantising rounds nothing."""
    random = np.random.default_rng(count)
    whole = random.integers(-127, 128, (count, columns // block, block))
    whole[..., 0] = 127 * random.choice([-1, 1], whole.shape[:2])
    return (
        (whole * random.uniform(1e-3, 1e-1, (count, columns // block, 1)))
        .astype(np.float32)
        .reshape(count, columns)
    )


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_a_weight_gives_its_rows_to_the_bit_and_meets_int8_and_floats(
    compile_graph, assert_close, dtype
):
    tokens, w = Value(tensor(I32, "T"), "tokens"), weight(dtype)
    x = Value(tensor(F32, "T", width(dtype)), "x")
    outputs = (ops.embed(tokens, w), ops.linear(ops.quantise(x), w), ops.linear(x, w))
    graph = Graph((tokens, x), outputs, (w,))
    step = compile_graph(graph, ROW_BLOCKS.get(dtype.name, 4), max_tokens=512)
    for rows in ROWS:
        given = {
            "tokens": np.random.default_rng(rows).integers(0, OUTPUTS, rows, np.int32),
            "x": rows_of(rows, width(dtype)),
        }
        (fetched, *products), expected = step(given), step.meaning(given)
        np.testing.assert_array_equal(fetched, expected[0])
        for got, meant in zip(products, expected[1:], strict=True):
            assert_close(got, meant)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_bf16_rows_meet_the_weight(compile_bf16, assert_close, dtype):
    x, w = Value(tensor(F32, "T", width(dtype)), "x"), weight(dtype)
    step = compile_bf16(
        Graph((x,), (ops.linear(ops.quantise(x, to="bf16"), w),), (w,)), max_tokens=512
    )
    for rows in ROWS:
        given = {"x": rows_of(rows, width(dtype))}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize("dtype", [each for each in FORMATS if each.block == 256], ids=str)
def test_a_weight_in_super_blocks_meets_rows_in_such(compile_graph, assert_close, dtype):
    x, w = Value(tensor(F32, "T", width(dtype)), "x"), weight(dtype)
    graph = Graph((x,), (ops.linear(ops.quantise(x, to="i8x256"), w),), (w,))
    for row_block in (1, 8):
        step = compile_graph(graph, row_block, max_tokens=33)
        for rows in (1, 3, 16, 33):
            given = {"x": rows_of(rows, width(dtype), 256)}
            assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize(("dtype", "to"), [(Q6_K, "i8x32"), (Q6_K, "i8x256"), (Q4_K, "i8x256")])
def test_a_row_does_not_depend_on_its_block(compile_graph, cpu_target, dtype, to):
    x, w = Value(tensor(F32, "T", width(dtype)), "x"), weight(dtype)
    graph = Graph((x,), (ops.linear(ops.quantise(x, to=to), w),), (w,))
    given = {"x": np.random.default_rng(9).normal(0, 1, (9, width(dtype))).astype(np.float32)}
    first, *others = (compile_graph(graph, block)(given)[0] for block in cpu_target.row_blocks)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_what_a_format_with_halves_reads_is_made_by_every_producer(compile_graph, assert_close):
    """A norm, a gate: their int8 rows have the sums of 16 columns that Q6_K and Q2_K ask for."""
    x, gain = Value(tensor(F32, "T", 256), "x"), Value(tensor(F32, 256), "gain", sources=("gain",))
    gate, up, down = (
        Value(tensor(Q6_K, *shape), name, sources=(name,))
        for name, shape in (("gate", (256, 256)), ("up", (256, 256)), ("down", (32, 256)))
    )
    norm = ops.rms_norm_quantise(x, gain, eps=1e-5)
    hidden = ops.gate_up_quantise(norm, norm, gate, up, activation="silu")
    graph = Graph((x,), (norm, hidden, ops.linear(hidden, down)), (gain, gate, up, down))
    step = compile_graph(graph, 2)
    given = {"x": rows_of(5, 256)}
    results, expected = step(given), step.meaning(given)
    assert all(rows.half_corrections for rows in results[:2])
    for got, meant in zip(results[:2], expected, strict=False):
        assert_close(got, meant)

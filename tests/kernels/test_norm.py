"""rms_norm, layer_norm, their quantising forms and quantise against their meaning."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import F32, tensor


def norm(op, width, eps=1e-5):
    x = Value(tensor(F32, "T", width), "x")
    weight = Value(tensor(F32, width), "w", sources=("w",))
    return Graph((x,), (op(x, weight, eps=eps),), (weight,))


def rows(count, width):
    return np.random.default_rng(count).normal(0, 3, (count, width)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 16, 40, 576])
def test_rms_norm(compile_graph, assert_close, width):
    step = compile_graph(norm(ops.rms_norm, width))
    for count in (1, 17):
        given = {"x": rows(count, width)}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize(("width", "to"), [(32, "i8x32"), (576, "i8x32"), (768, "i8x256")])
def test_rms_norm_quantise(compile_graph, assert_close, width, to):
    step = compile_graph(norm(partial(ops.rms_norm_quantise, to=to), width))
    for count in (1, 17):
        given = {"x": rows(count, width)}
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize(
    ("op", "width", "has_bias"),
    [
        (ops.layer_norm, 40, True),
        (ops.layer_norm, 576, False),
        (ops.layer_norm_quantise, 96, True),
        (partial(ops.layer_norm_quantise, to="i8x256"), 512, True),
    ],
)
def test_layer_norm(compile_graph, assert_close, op, width, has_bias):
    """Of rows far from zero, so that what lies behind a row would show in its variance."""
    x = Value(tensor(F32, "T", width), "x")
    weights = tuple(Value(tensor(F32, width), name, sources=(name,)) for name in ("w", "b"))
    given = weights if has_bias else weights[:1]
    step = compile_graph(Graph((x,), (op(x, *given, eps=1e-5),), given))
    for count in (1, 17):
        inputs = {"x": 9 + rows(count, width)}
        assert_close(step(inputs)[0], step.meaning(inputs)[0])


def test_eps_keeps_small_rows_small(compile_graph, assert_close):
    step = compile_graph(norm(ops.rms_norm, 32, eps=0.25))
    given = {"x": rows(2, 32) * np.float32(1e-3)}
    assert_close(step(given)[0], step.meaning(given)[0])


@pytest.fixture
def quantise(compile_graph):
    x = Value(tensor(F32, "T", 64), "x")
    return compile_graph(Graph((x,), (ops.quantise(x),)))


def test_quantise(quantise, assert_close):
    given = {"x": rows(17, 64)}
    assert_close(quantise(given)[0], quantise.meaning(given)[0])


def test_super_blocks_have_a_scale_each_and_zeros_have_none(compile_graph, assert_close):
    x = Value(tensor(F32, "T", 768), "x")
    step = compile_graph(Graph((x,), (ops.quantise(x, to="i8x256"),)))
    given = {"x": rows(17, 768)}
    given["x"][3, 256:512] = 0
    got = step(given)[0]
    assert_close(got, step.meaning(given)[0])
    assert got.scales[3, 1] == 0
    assert got.scales[3, 0] != got.scales[3, 2]


def test_halves_are_quantised_to_even(quantise):
    x = np.zeros((2, 64), np.float32)
    x[:, ::32] = 127
    x[0, 1:7] = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5]
    x[1, 1:5] = [126.5, -126.5, -127, 125.5]
    values = quantise({"x": x})[0].values
    np.testing.assert_array_equal(values[0, :8], [127, 0, 2, 2, 0, -2, -2, 0])
    np.testing.assert_array_equal(values[1, :5], [127, 126, -126, -127, 126])


def test_a_block_of_zeros_has_scale_zero_and_its_neighbour_its_own(quantise, assert_close):
    x = np.zeros((1, 64), np.float32)
    x[0, 40] = -1e-20
    given = {"x": x}
    got = quantise(given)[0]
    assert_close(got, quantise.meaning(given)[0])
    assert got.scales[0, 0] == 0
    assert got.values[0, 40] == -127

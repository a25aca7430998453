"""The vector macros against NumPy's float64, on every x86 target."""

from __future__ import annotations

import numpy as np
import pytest

IMPORT = '{% import "vector.j2" as vector %}\n'
MAP = IMPORT + (
    '{{ vector[macro]("got", vector.load("x", "piece * 16")) }}\n'
    '{{ vector.load("out", "piece * 16") }} = got\n'
)
CONVERT = MAP.replace('"piece * 16")) }}\n{{', '"piece * 16"), native) }}\n{{')
REDUCE = IMPORT + (
    '{{ vector[macro]("got", vector.load("x", "piece * 16"), dtype) }}\nout[piece] = got\n'
)


def apply(run_piece, macro, x):
    out = np.zeros_like(x)
    run_piece(MAP, x.size // 16, {"x": x, "out": out}, macro=macro)
    return out


def test_exp_is_within_two_units_of_the_last_place(run_piece):
    x = np.linspace(-87, 88, 1 << 18).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    error = np.abs(apply(run_piece, "exp", x) - exact) / np.spacing(exact.astype(np.float32))
    assert error.max() <= 2


def test_exp_has_the_right_ends(run_piece):
    x = np.full(16, -87.34, np.float32)
    x[:9] = [0.0, -0.0, np.inf, 88.73, 3e38, -np.inf, -3e38, np.nan, -104]
    got = apply(run_piece, "exp", x)
    np.testing.assert_array_equal(got[:2], 1)
    np.testing.assert_array_equal(got[2:5], np.inf)
    assert np.isnan(got[7])
    np.testing.assert_array_equal(np.delete(got, range(8))[1:], 0)
    np.testing.assert_array_equal(got[5:7], 0)


def test_falling_exp_is_exp_up_to_zero_and_nothing_for_nan(run_piece):
    x = -np.linspace(0, 100, 1 << 14).astype(np.float32)
    x[-2:] = -np.inf, np.nan
    got = apply(run_piece, "exp_falling", x)
    np.testing.assert_array_equal(got[:-1], apply(run_piece, "exp", x)[:-1])
    assert got[0] == 1
    assert got[-1] == 0


def test_log_is_within_two_units_of_the_last_place(run_piece):
    x = np.concatenate([np.geomspace(1.2e-38, 3.4e38, 4000), np.linspace(0.5, 2, 4001)])
    x = np.append(x, 1).astype(np.float32)
    out = np.zeros_like(x)
    body = IMPORT + '{{ vector.log("got", "x[piece]") }}\nout[piece] = got\n'
    run_piece(body, x.size, {"x": x, "out": out})
    exact = np.log(x.astype(np.float64))
    error = np.abs(out - exact) / np.spacing(np.abs(exact).astype(np.float32))
    assert error.max() <= 2
    assert out[-1] == 0


def test_silu(run_piece):
    x = np.linspace(-100, 100, 1 << 14).astype(np.float32)
    exact = x / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(apply(run_piece, "silu", x), exact, rtol=1e-6, atol=3e-37)


def test_sum_is_one_tree_of_halves_on_every_target(run_piece):
    x = np.random.default_rng(1).normal(size=(64, 16)).astype(np.float32)
    out = np.zeros(64, np.float32)
    run_piece(REDUCE, 64, {"x": x, "out": out}, macro="sum", dtype="float32")
    tree = x
    for count in (8, 4, 2, 1):
        tree = tree[:, :count] + tree[:, count:]
    np.testing.assert_array_equal(out, tree[:, 0])


def test_integer_sum(run_piece):
    x = np.random.default_rng(2).integers(-(2**26), 2**26, (64, 16), np.int32)
    out = np.zeros(64, np.int32)
    run_piece(REDUCE, 64, {"x": x, "out": out}, macro="sum", dtype="int32")
    np.testing.assert_array_equal(out, x.sum(axis=1))


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize(("macro", "sign"), [("max", 1), ("min", -1)])
def test_max_and_min_look_at_every_lane(run_piece, macro, sign, dtype):
    x = -np.arange(1, 257).reshape(16, 16).astype(dtype)
    np.fill_diagonal(x, np.arange(16))
    out = np.zeros(16, dtype)
    run_piece(REDUCE, 16, {"x": sign * x, "out": out}, macro=macro, dtype=dtype)
    np.testing.assert_array_equal(out, sign * np.arange(16))


@pytest.mark.parametrize("lane", [None, 0, 7, 15])
def test_any_sees_every_lane(run_piece, lane):
    x = np.full(16, -1, np.float32)
    if lane is not None:
        x[lane] = 1
    out = np.zeros(1, np.int32)
    condition = "x[T.ramp(0, 1, 16)] > T.float32(0)"
    body = IMPORT + '{{ vector.any("got", condition) }}\nif got:\n    out[piece] = 1\n'
    run_piece(body, 1, {"x": x, "out": out}, condition=condition)
    assert out[0] == (lane is not None)


@pytest.mark.parametrize("native", [False, True])
def test_every_half_becomes_its_float(run_piece, cpu_target, native):
    x = np.arange(1 << 16).astype(np.uint16).view(np.float16)
    out = np.zeros(x.size, np.float32)
    run_piece(
        CONVERT,
        1 << 12,
        {"x": x, "out": out},
        macro="float32",
        native=native and cpu_target.native_half,
    )
    number = ~np.isnan(x)
    exact = x.astype(np.float32)
    np.testing.assert_array_equal(out[number].view(np.int32), exact[number].view(np.int32))
    assert np.isnan(out[~number]).all()


@pytest.mark.parametrize("native", [False, True])
def test_floats_round_to_the_nearest_half_ties_to_even(run_piece, cpu_target, native):
    x = floats_around_every_half()
    out = np.zeros(x.size, np.float16)
    run_piece(
        CONVERT,
        x.size // 16,
        {"x": x, "out": out},
        macro="float16",
        native=native and cpu_target.native_half,
    )
    with np.errstate(over="ignore"):
        exact = x.astype(np.float16)
    number = ~np.isnan(x)
    np.testing.assert_array_equal(out[number].view(np.int16), exact[number].view(np.int16))
    assert np.isnan(out[~number]).all()


@pytest.mark.parametrize("macro", ["float32", "float16"])
def test_conversions_call_no_library(compile_piece, cpu_target, macro):
    wide, narrow = ("x", "out") if macro == "float16" else ("out", "x")
    arrays = {wide: np.zeros(16, np.float32), narrow: np.zeros(16, np.float16)}
    compiled = compile_piece(CONVERT, arrays, macro=macro, native=cpu_target.native_half)
    assert not {name for name in compiled.calls() if "hf" in name}


def floats_around_every_half():
    """Halves, the midpoints between them, their neighbours, and floats of any bits."""
    half = np.arange(1 << 16).astype(np.uint16).view(np.float16)
    half = half[np.isfinite(half)].astype(np.float64)
    exact = np.concatenate([half, (half[:-1] + half[1:]) / 2]).astype(np.float32)
    near = [(exact.view(np.int32) + step).view(np.float32) for step in (-1, 0, 1)]
    random = np.random.default_rng(3).integers(0, 1 << 32, 1 << 16, np.uint64)
    edges = np.array([65504, 65519.996, 65520, 65536, 1e30, np.inf, -np.inf, np.nan], np.float32)
    everything = np.concatenate([*near, random.astype(np.uint32).view(np.float32), edges])
    return np.resize(everything, -(-everything.size // 16) * 16)

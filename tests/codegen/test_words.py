"""The words of phase bodies on every ISA: functions, reductions, and halves to the bit."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inferflux.codegen.targets import TARGETS, lowering
from inferflux.codegen.targets.cpu import target_words
from inferflux.codegen.targets.script import read_function

TEXT = """
@T.prim_func(s_tir=True)
def apply(x: T.Buffer(({size},), "{given}"), out: T.Buffer(({size},), "{gives}")):
    T.func_attr({{"global_symbol": "apply", "tirx.noalias": True}})
    for i in T.serial({size} // 16):
        out[lanes(i * 16)] = {word}
"""
EVERY_HALF = np.arange(1 << 16).astype(np.uint16).view(np.float16)


DOT = """
@T.prim_func(s_tir=True)
def apply(
    q: T.Buffer((512 * {cases},), "uint8"),
    x: T.Buffer((32 * {cases},), "int8"),
    out: T.Buffer((16 * {cases},), "float32"),
):
    T.func_attr({{"global_symbol": "apply", "tirx.noalias": True}})
    for i in T.serial({cases}):
        correction = T.alloc_buffer((1,), "int32")
        correction[0] = 0
        for k in T.serial(32):
            correction[0] = correction[0] - 128 * T.cast(x[i * 32 + k], "int32")
        dot = dot_sums(1, {bits})
        dot[dot_at(0, {bits})] = dot_zero({bits})
        for group in T.serial(8):
            dot[dot_at(0, {bits})] = dot_group(
                dot[dot_at(0, {bits})], q, i * 8 + group, x, i * 32 + group * 4, {bits}
            )
        out[lanes(i * 16)] = dot_floats(dot[dot_at(0, {bits})], correction[0], {bits}, {excess})
"""

SCALED = """
@T.prim_func(s_tir=True)
def apply(
    q: T.Buffer((512 * 8,), "uint8"),
    x: T.Buffer((32 * 8,), "int8"),
    small: T.Buffer((16 * 8,), "uint8"),
    out: T.Buffer((16,), "float32"),
):
    T.func_attr({{"global_symbol": "apply", "tirx.noalias": True}})
    scaled = scaled_sums(1)
    scaled[lanes(0)] = scaled_zero()
    for block in T.serial(8):
        factor = factors(1)
        factor[factor_at(0)] = {factor}(small, block * 16)
        dot = dot_sums(1, {bits})
        dot[dot_at(0, {bits})] = dot_zero({bits})
        for group in T.serial(8):
            dot[dot_at(0, {bits})] = dot_scaled(
                dot[dot_at(0, {bits})],
                q,
                block * 8 + group,
                x,
                block * 32 + group * 4,
                {bits},
                factor[factor_at(0)],
            )
        scaled[lanes(0)] = add_scaled(
            scaled[lanes(0)], dot[dot_at(0, {bits})], factor[factor_at(0)], {bits}
        )
    out[lanes(0)] = scaled_floats(scaled[lanes(0)])
"""

LOOK_UP = """
@T.prim_func(s_tir=True)
def apply(x: T.Buffer((256,), "uint8"), out: T.Buffer((256,), "uint8")):
    T.func_attr({{"global_symbol": "apply", "tirx.noalias": True}})
    for i in T.serial(4):
        out[bytes64(i * 64)] = look_up({table}, x[bytes64(i * 64)])
"""
CHOOSE = """
@T.prim_func(s_tir=True)
def apply(out: T.Buffer((64,), "{dtype}")):
    T.func_attr({{"global_symbol": "apply", "tirx.noalias": True}})
    for i in T.serial({size}):
        out[i] = choose(i, {values})
"""
EXPONENTS = """
@T.prim_func(s_tir=True)
def apply(x: T.Buffer((256,), "uint8"), out: T.Buffer((256,), "float32")):
    T.func_attr({"global_symbol": "apply", "tirx.noalias": True})
    for i in T.serial(16):
        out[lanes(i * 16)] = exponent_lanes(x, i * 16)
"""


@pytest.fixture
def compiled(target):
    """Compile the text of a function in the target's words, and call it on arrays."""

    def run(text: str, *arrays: np.ndarray[Any, Any]) -> None:
        import tvm
        from tvm.target import Target

        facts = TARGETS[target]
        lowering.register()
        machine = platform.machine()
        module = tvm.IRModule({"apply": read_function(text, target_words(facts, machine))})
        here = Target(dict(facts.machines[machine]))
        library = tvm.compile(module, target=here, tir_pipeline=lowering.NAME)
        given = [tvm.runtime.tensor(array) for array in arrays]
        library["apply"](*given)
        for array, tensor in zip(arrays, given, strict=True):
            array[:] = tensor.numpy()

    return run


@pytest.fixture
def apply(compiled):
    """Apply an expression over ``x[lanes(i * 16)]`` to an array, 16 numbers at a time."""

    def run(word: str, x: np.ndarray[Any, Any], gives: str = "float32") -> np.ndarray[Any, Any]:
        out = np.zeros(x.size, gives)
        compiled(TEXT.format(size=x.size, given=x.dtype, gives=gives, word=word), x, out)
        return out

    return run


def vectors(*numbers):
    """These numbers, the last repeated until the vector is full."""
    padded = [*numbers, *[numbers[-1]] * (-len(numbers) % 16)]
    return np.array(padded, np.float32)


def test_exp_is_within_three_units_of_the_last_place(apply):
    x = np.linspace(-86.9, 88, 1 << 16).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    got = apply("exp(x[lanes(i * 16)])", x)
    assert (np.abs(got - exact) / np.spacing(exact.astype(np.float32))).max() <= 3


def test_exp_ends_in_zero_and_never_overflows(apply):
    got = apply("exp(x[lanes(i * 16)])", vectors(0, -0.0, -87.5, -1e4, -3e38, -np.inf, 89, 3e38))
    np.testing.assert_array_equal(got[:2], 1)
    np.testing.assert_array_equal(got[2:6], 0)
    np.testing.assert_allclose(got[6:8], np.exp(88.0), rtol=1e-6)


def test_silu_is_its_input_or_nothing_far_from_zero(apply):
    x = np.append(np.linspace(-60, 60, 1 << 12), np.zeros(16)).astype(np.float32)
    x[-3:] = -1e30, 1e30, -200
    with np.errstate(over="ignore"):
        exact = x / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(apply("silu(x[lanes(i * 16)])", x), exact, rtol=1e-6, atol=1e-7)


def test_log_is_within_two_units_of_the_last_place(apply):
    x = np.concatenate([np.geomspace(1.2e-38, 3.4e38, 4000), np.linspace(0.5, 2, 4001)])
    x = np.resize(np.append(x, 1), 8016).astype(np.float32)
    each = "T.Shuffle([" + ", ".join(f"log(x[i * 16 + {lane}])" for lane in range(16)) + "], "
    got = apply(f"{each}{list(range(16))})", x)
    exact = np.log(x.astype(np.float64))
    assert (np.abs(got - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() <= 2
    assert np.all(got[x == 1] == 0)


@pytest.mark.parametrize(("word", "of"), [("largest", np.max), ("smallest", np.min)])
def test_reductions_see_every_lane(apply, word, of):
    x = np.where(np.eye(16), 3 if word == "largest" else -3, np.arange(16) % 3)
    x = x.astype(np.float32 if word == "largest" else np.int32).reshape(-1)
    got = apply(f"splat({word}(x[lanes(i * 16)]))", x, str(x.dtype))
    np.testing.assert_array_equal(got.reshape(16, 16), np.tile(of(x.reshape(16, 16), 1), (16, 1)).T)


def test_any_of_sees_every_lane(apply):
    x = np.append(np.eye(16), np.zeros((1, 16)), axis=0).astype(np.float32).reshape(-1)
    got = apply("splat(T.cast(any_of(x[lanes(i * 16)] > T.float32(0)), 'int32'))", x, "int32")
    np.testing.assert_array_equal(got, np.repeat([1, 0], [256, 16]))


def test_rounded_takes_halves_to_even(apply):
    x = np.arange(-256, 256, dtype=np.float32) / 2
    got = apply("rounded(x[lanes(i * 16)])", x, "int32")
    np.testing.assert_array_equal(got, np.rint(x))
    edges = vectors(2**22 - 1.5, 1.5 - 2**22, 0.49999997, -0.49999997)
    np.testing.assert_array_equal(
        apply("rounded(x[lanes(i * 16)])", edges, "int32"), np.rint(edges)
    )


def test_every_finite_half_of_a_page_becomes_its_float(apply):
    halves = np.where(np.isfinite(EVERY_HALF), EVERY_HALF, np.float16(0))
    got = apply("f32_lanes(x, i * 16)", halves)
    np.testing.assert_array_equal(got.view(np.int32), halves.astype(np.float32).view(np.int32))


def test_floats_are_stored_as_the_nearest_half_ties_to_even(apply):
    halves = np.sort(EVERY_HALF[np.isfinite(EVERY_HALF)]).astype(np.float64)
    middle = ((halves[:-1] + halves[1:]) / 2).astype(np.float32)
    near = np.concatenate([np.nextafter(middle, side, dtype=np.float32) for side in (-9e9, 9e9)])
    edges = [65504, 65519.996, 65520, -65520, 3e38, -3e38, 1e-45, -1e-9]
    x = np.concatenate([halves, middle, near, edges]).astype(np.float32)
    x = np.resize(x, -(-x.size // 16) * 16)
    with np.errstate(over="ignore"):
        exact = x.astype(np.float16)
    got = apply("stored(x[lanes(i * 16)], out)", x, "float16")
    np.testing.assert_array_equal(got.view(np.int16), exact.view(np.int16))


@pytest.fixture(
    params=[(2, 0), (3, 4), (4, 0), (4, 8), (5, 16), (6, 32), (8, 128)],
    ids=lambda of: f"{of[0]} bits less {of[1]}",
)
def assert_dots_are_exact(compiled, request):
    bits, excess = request.param

    def check() -> None:
        q, x = extremes(bits)
        out = np.zeros(16 * len(q), np.float32)
        compiled(DOT.format(cases=len(q), bits=bits, excess=excess), q.ravel(), x.ravel(), out)
        weights = q.reshape(-1, 8, 16, 4).astype(np.int64) - excess  # case, group, lane, column
        exact = np.einsum("cglk,cgk->cl", weights, x.reshape(-1, 8, 4).astype(np.int64))
        times = 128 // excess if excess else 1
        np.testing.assert_array_equal(out.reshape(-1, 16), times * exact)

    return check


def extremes(bits):
    """Blocks of weights and values where sums are largest, and others at random."""
    ends = [0, 1, 2 ** (bits - 1), 2**bits - 1]
    random = np.random.default_rng(0)
    q = np.stack([*(np.full(512, end) for end in ends), *random.choice(ends, (28, 512))])
    x = np.stack([np.full(32, 127), np.full(32, -127), *random.choice([-127, 127], (30, 32))])
    x[2], q[5] = x[0], random.integers(0, 2**bits, 512)
    return np.repeat(q, 3, axis=0).astype(np.uint8), np.tile(x, (3, 1)).astype(np.int8)


@pytest.mark.parametrize("table", [range(16), range(255, 239, -1), [7] * 8 + [250] * 8])
def test_look_up_finds_every_entry(compiled, table):
    indices = np.random.default_rng(0).permutation(np.arange(256, dtype=np.uint8) % 16)
    out = np.zeros(256, np.uint8)
    compiled(LOOK_UP.format(table=list(table)), indices, out)
    np.testing.assert_array_equal(out, np.array(table)[indices])


@pytest.mark.parametrize("target", ["cpu:portable"], indirect=True)
@pytest.mark.parametrize(
    "values",
    [
        [0] * 64,
        [0, 1, 1, 0] * 16,  # 63 of a bit are a word
        list(range(64)),
        [2**31 - 1, 0, 2**30, 1, 2**31 - 1],
        [-1, 5, -(2**31)],
        [0.5, -3.0, 0.0],
    ],
    ids=lambda values: f"{len(values)} from {values[0]}",
)
def test_a_number_is_chosen_of_any_list(compiled, values):
    dtype = "float32" if isinstance(values[0], float) else "int32"
    out = np.zeros(64, dtype)
    compiled(CHOOSE.format(dtype=dtype, size=len(values), values=values), out)
    assert out[: len(values)].tolist() == values


def test_every_exponent_of_eight_bits_is_its_power_of_two(compiled):
    out = np.zeros(256, np.float32)
    compiled(EXPONENTS, np.arange(256, dtype=np.uint8), out)
    np.testing.assert_array_equal(out, 2.0 ** (np.arange(256) - 128))


def test_dots_are_exact_at_the_ends_of_their_types(assert_dots_are_exact):
    assert_dots_are_exact()


@pytest.mark.parametrize(
    ("bits", "offset", "word", "factor"),
    [
        (2, 0, "factor_of_nibbles", 15),
        (3, 0, "factor_of_bytes", -32),
        (4, 0, "factor_of_bytes", 63),
        (5, 0, "factor_of_bytes", 63),
        (6, 0, "factor_of_bytes", -128),
        (8, 128, "factor_of_bytes", -32),
    ],
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_of_a_super_block_times_their_factors_never_overflow(
    compiled, bits, offset, word, factor, sign
):
    """At the ends of all three; of weights that an ISA takes with a sign the offset is off."""
    q, x = np.full(512 * 8, 2**bits - 1, np.uint8), np.full(32 * 8, 127 * sign, np.int8)
    small, out = np.full(16 * 8, factor, np.int8).view(np.uint8), np.zeros(16, np.float32)
    compiled(SCALED.format(bits=bits, factor=word), q, x, small, out)
    sums = [256 * (2**bits - 1 - less) * 127 * sign * factor for less in (0, offset)]
    assert any(np.allclose(out, each, rtol=1e-6) for each in sums), out


@pytest.mark.parametrize("target", ["cpu:avx512"], indirect=True)
def test_vnni_of_half_the_width_is_exact(assert_dots_are_exact, target, monkeypatch):
    """As machines with AVX-VNNI have it, on one whose AVX-512 has it too."""
    monkeypatch.setitem(TARGETS, target, replace(TARGETS[target], dots="vpdpbusd.256"))
    assert_dots_are_exact()

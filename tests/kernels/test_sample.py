"""Compiled sampling against the reference that sorts, on every x86 target."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from inferflux.ir.ops.philox import philox4x32, uniform
from inferflux.ir.ops.sample import MAX_LOGPROBS
from inferflux.kernels.sample import reference
from inferflux.kernels.storage import Array, FloatRows

SIZES = (1, 37, 1000)  # one token, a tail of 5 lanes, a tail of 8 in the last of 63 vectors
INPUTS = ("temperature", "top_k", "top_p", "min_p", "seeds", "forced", "num_logprobs", "rows")
OUTPUTS = ("out_tokens", "out_logprobs", "top_tokens", "top_logprobs")
BATCH = 64  # rows of a compiled body
ROUNDING = 3e-6  # how far float32 sums may move a threshold


@dataclass(frozen=True)
class Rows:
    """Sampling parameters of R rows; numbers are for all rows alike."""

    temperature: object = 1.0
    top_k: object = 1 << 20
    top_p: object = 1.0
    min_p: object = 0.0
    seeds: object = 0
    forced: object = 1 << 20
    num_logprobs: object = 0
    positions: object = 0


@dataclass(frozen=True)
class Sampled:
    tokens: np.ndarray
    logprobs: np.ndarray
    top_tokens: np.ndarray  # (R, MAX_LOGPROBS)
    top_logprobs: np.ndarray


@pytest.fixture(scope="module")
def bodies():
    """Compiled bodies by target and vocabulary: compiling takes longer than running."""
    return {}


@pytest.fixture
def sample(compile_piece, cpu_target, bodies):
    def run(logits: np.ndarray, parameters: Rows) -> Sampled:
        key = (cpu_target.name, logits.shape[1])
        arrays = step_arrays(logits, parameters)
        if key not in bodies:
            text = '{% include "sample/cpu.j2" %}'
            bodies[key] = compile_piece(text, batch(arrays, 0), **operands(logits.shape[1]))
        for start in range(0, len(logits), BATCH):
            some = batch(arrays, start)
            bodies[key](some, min(BATCH, len(logits) - start))
            for name in OUTPUTS:
                arrays[name][start : start + BATCH] = some[name][: len(logits) - start]
        return Sampled(*(arrays[name] for name in OUTPUTS))

    return run


def batch(arrays, start):
    """BATCH rows from ``start``, the last one repeated where there are no more."""
    count = len(arrays["temperature"])
    taken = np.minimum(np.arange(start, start + BATCH), count - 1)
    some = {name: array[taken] for name, array in arrays.items()}
    some["rows"] = np.arange(BATCH, dtype=np.int32)[::-1].copy()
    some["positions"] = some["positions"][::-1].copy()
    return some | {"scratch_f32": np.full(arrays["logits"].shape[1], np.nan, np.float32)}


def operands(vocab_size):
    stride = padded(vocab_size)
    logits = FloatRows(columns=vocab_size, base=0, stride=stride, buffer="logits")
    arrays = {name: Array(name) for name in (*INPUTS, "positions", *OUTPUTS)}
    return {"logits": logits, "scratch": "0", "max_logprobs": MAX_LOGPROBS, **arrays}


def step_arrays(logits, parameters):
    """The arguments of a step.  What pads a row is poison: no lane beyond V may count."""
    num_rows, vocab_size = logits.shape
    rows = np.full((num_rows, padded(vocab_size)), np.inf, np.float32)
    rows[:, :vocab_size] = logits

    def column(value, dtype):
        return np.array(np.broadcast_to(np.asarray(value, dtype), num_rows))

    return {
        "logits": rows,
        "temperature": column(parameters.temperature, np.float32),
        "top_k": np.minimum(column(parameters.top_k, np.int32), vocab_size),
        "top_p": column(parameters.top_p, np.float32),
        "min_p": column(parameters.min_p, np.float32),
        "seeds": column(parameters.seeds, np.uint64).view(np.int32).reshape(-1, 2),
        "forced": np.minimum(column(parameters.forced, np.int32), vocab_size),
        "num_logprobs": column(parameters.num_logprobs, np.int32),
        "rows": np.zeros(num_rows, np.int32),
        "positions": column(parameters.positions, np.int32),
        "out_tokens": np.full(num_rows, -9, np.int32),
        "out_logprobs": np.full(num_rows, np.nan, np.float32),
        "top_tokens": np.full((num_rows, MAX_LOGPROBS), -9, np.int32),
        "top_logprobs": np.full((num_rows, MAX_LOGPROBS), np.nan, np.float32),
    }


def padded(vocab_size):
    return -(-vocab_size // 16) * 16


def gaussian(num_rows, vocab_size, seed=0):
    return np.random.default_rng(seed).normal(0, 3, (num_rows, vocab_size)).astype(np.float32)


def peculiar(vocab_size):
    """Rows that ties, infinities and NaN make hard."""
    rng = np.random.default_rng(9)
    rows = [
        np.zeros(vocab_size),
        np.full(vocab_size, -np.inf),
        np.full(vocab_size, np.inf),
        np.full(vocab_size, np.nan),
        np.where(np.arange(vocab_size) == vocab_size - 1, 0.0, -np.inf),
        np.where(np.arange(vocab_size) == vocab_size // 2, 100.0, -100.0),
        rng.integers(0, 3, vocab_size),
        np.where(rng.random(vocab_size) < 0.3, np.nan, rng.normal(size=vocab_size)),
        np.where(rng.random(vocab_size) < 0.3, np.inf, rng.normal(size=vocab_size)),
        np.where(rng.random(vocab_size) < 0.5, -0.0, 0.0),
        rng.normal(0, 1e30, vocab_size),
        rng.normal(0, 1e-30, vocab_size),
    ]
    return np.array(rows).astype(np.float32)


def possible_tokens(logits, temperature, top_k, top_p, min_p, drawn):
    """What the reference gives when float32's rounding moves each threshold a little."""
    near = (1 - ROUNDING, 1, 1 + ROUNDING)
    tokens = set()
    for u, p, m in itertools.product(near, near, near):
        cut = top_p * p if top_p < 1 else 1.0
        weights = reference.kept_weights(logits, temperature, top_k, cut, min_p * m)
        tokens.add(reference.choose(weights, min(drawn * u, 1 - 1e-7)))
    return tokens


def assert_as_reference(sample, logits, parameters):
    got = sample(logits, parameters).tokens
    num_rows, vocab_size = logits.shape
    broadcast = {
        name: np.broadcast_to(getattr(parameters, name), num_rows)
        for name in ("temperature", "top_k", "top_p", "min_p", "seeds", "positions")
    }
    drawn = uniform(broadcast["seeds"].astype(np.uint64), broadcast["positions"])
    unsure = 0
    for row in range(num_rows):
        settings = [np.float32(broadcast[name][row]) for name in ("temperature", "top_p", "min_p")]
        top_k = min(int(broadcast["top_k"][row]), vocab_size)
        possible = possible_tokens(
            logits[row],
            float(settings[0]),
            top_k,
            float(settings[1]),
            float(settings[2]),
            float(drawn[row]),
        )
        assert got[row] in possible, (row, top_k, settings, drawn[row])
        unsure += len(possible) > 1
    assert unsure <= max(2, num_rows // 20), "too many rows where rounding decides"


@pytest.mark.parametrize("vocab_size", SIZES)
def test_greedy_takes_the_first_of_the_largest(sample, vocab_size):
    logits = np.concatenate([gaussian(20, vocab_size), peculiar(vocab_size)])
    expected = [reference.ranked(row)[0] for row in logits]
    np.testing.assert_array_equal(sample(logits, Rows(temperature=0.0)).tokens, expected)


@pytest.mark.parametrize("vocab_size", SIZES)
@pytest.mark.parametrize("cut", ["none", "top_k", "top_p", "min_p", "all"])
def test_draws_as_the_reference(sample, vocab_size, cut):
    num_rows = 60
    rng = np.random.default_rng(vocab_size)
    chosen = Rows(
        temperature=rng.choice([0.3, 1.0, 2.5], num_rows),
        seeds=rng.integers(0, 1 << 63, num_rows, np.uint64),
        positions=rng.integers(0, 1 << 20, num_rows),
    )
    if cut in ("top_k", "all"):
        chosen = replace(chosen, top_k=rng.integers(1, vocab_size + 1, num_rows))
    if cut in ("top_p", "all"):
        chosen = replace(chosen, top_p=rng.choice([0, 0.1, 0.5, 0.9, 0.99, 1], num_rows))
    if cut in ("min_p", "all"):
        chosen = replace(chosen, min_p=rng.choice([0, 0.01, 0.3, 1], num_rows))
    assert_as_reference(sample, gaussian(num_rows, vocab_size), chosen)


@pytest.mark.parametrize("vocab_size", SIZES)
@pytest.mark.parametrize("temperature", [1e-6, 1.0, 100.0])
def test_peculiar_rows_draw_as_the_reference(sample, vocab_size, temperature):
    rows = np.repeat(peculiar(vocab_size), 5, axis=0)
    rng = np.random.default_rng(4)
    chosen = Rows(
        temperature=temperature,
        top_k=rng.choice([1, 2, vocab_size], len(rows)),
        top_p=rng.choice([0.3137, 0.7731, 1.0], len(rows)),
        seeds=np.arange(len(rows)),
    )
    assert_as_reference(sample, rows, chosen)


def test_top_k_of_one_is_greedy_at_any_temperature(sample):
    logits = gaussian(32, 1000)
    hot = Rows(temperature=50.0, top_k=1, seeds=np.arange(32))
    np.testing.assert_array_equal(sample(logits, hot).tokens, logits.argmax(1))


def test_ties_at_the_cut_go_to_the_lowest_index(sample):
    rows = np.zeros((200, 37), np.float32)
    drawn = sample(rows, Rows(top_k=5, seeds=np.arange(200))).tokens
    assert set(drawn) == {0, 1, 2, 3, 4}
    drawn = sample(rows, Rows(top_p=0.1, seeds=np.arange(200))).tokens
    assert set(drawn) == {0, 1, 2, 3}  # 3 of 37 are less than a tenth, 4 are more


def test_draws_follow_the_probabilities(sample):
    num_draws = 20_000
    logits = np.log(np.random.default_rng(5).dirichlet(np.ones(37))).astype(np.float32)
    rows = np.tile(logits, (num_draws, 1))
    chosen = Rows(temperature=0.8, top_k=30, top_p=0.95, seeds=7, positions=np.arange(num_draws))
    tokens = sample(rows, chosen).tokens
    weights = reference.kept_weights(logits, 0.8, 30, 0.95, 0.0)
    expected = weights / weights.sum() * num_draws
    counts = np.bincount(tokens, minlength=37)
    assert counts[expected == 0].sum() == 0
    alive = expected > 0
    chi_square = ((counts - expected)[alive] ** 2 / expected[alive]).sum()
    degrees = np.count_nonzero(alive) - 1
    assert abs(chi_square - degrees) < 5 * np.sqrt(2 * degrees)  # five standard deviations


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # Random123's known answers
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ],
)
def test_philox_has_the_published_words(counter, key, words):
    got = philox4x32(np.array(counter, np.uint32), np.array(key, np.uint32))
    np.testing.assert_array_equal(got, np.array(words, np.uint32))


def test_compiled_philox_is_the_published_one(run_piece):
    rng = np.random.default_rng(6)
    seeds = rng.integers(0, 1 << 64, 64, np.uint64)
    seeds[:3] = 0, 1, 2**64 - 1
    positions = np.concatenate([[0, 2**31 - 1], rng.integers(0, 1 << 31, 62)]).astype(np.int32)
    drawn = np.zeros(64, np.float32)
    body = (
        '{% from "sample/philox.j2" import uniform %}\n'
        '{{ uniform("u", "seeds[piece * 2]", "seeds[piece * 2 + 1]", "positions[piece]") }}\n'
        "drawn[piece] = u\n"
    )
    run_piece(body, 64, {"seeds": seeds.view(np.int32), "positions": positions, "drawn": drawn})
    np.testing.assert_array_equal(drawn, uniform(seeds, positions))


def test_a_forced_token_stands_with_its_own_logprob(sample):
    logits = gaussian(37, 37)
    got = sample(logits, Rows(forced=np.arange(37), seeds=3))
    np.testing.assert_array_equal(got.tokens, np.arange(37))
    expected = [reference.log_probs(row)[token] for token, row in enumerate(logits)]
    np.testing.assert_allclose(got.logprobs, expected, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("vocab_size", SIZES)
def test_logprobs_are_the_models_whatever_is_cut(sample, vocab_size):
    logits = gaussian(40, vocab_size)
    got = sample(logits, Rows(temperature=0.5, top_k=3, seeds=np.arange(40)))
    expected = [
        reference.log_probs(row)[token] for row, token in zip(logits, got.tokens, strict=True)
    ]
    np.testing.assert_allclose(got.logprobs, expected, atol=4e-6, rtol=1e-6)


@pytest.mark.parametrize("vocab_size", SIZES)
def test_alternatives_are_the_best_in_order_and_zeros_beyond(sample, vocab_size):
    logits = np.concatenate([gaussian(9, vocab_size), peculiar(vocab_size)])
    asked = np.arange(len(logits)) % 22
    got = sample(logits, Rows(temperature=0.0, num_logprobs=asked))
    for row, number in zip(logits, range(len(logits)), strict=True):
        count = min(asked[number], MAX_LOGPROBS, vocab_size)
        best = reference.ranked(row)[:count]
        np.testing.assert_array_equal(got.top_tokens[number, :count], best)
        np.testing.assert_allclose(
            got.top_logprobs[number, :count], reference.log_probs(row)[best], atol=4e-6, rtol=1e-6
        )
        assert not got.top_tokens[number, count:].any()
        assert not got.top_logprobs[number, count:].any()


def test_a_row_is_sampled_alike_in_any_batch(sample):
    logits = gaussian(60, 1000)
    chosen = Rows(top_k=100, top_p=0.9, seeds=np.arange(60), positions=np.arange(60))
    together = sample(logits, chosen)
    backwards = replace(chosen, seeds=np.arange(60)[::-1], positions=np.arange(60)[::-1])
    apart = sample(logits[::-1], backwards)
    np.testing.assert_array_equal(together.tokens, apart.tokens[::-1])
    np.testing.assert_array_equal(together.logprobs, apart.logprobs[::-1])


def test_sampling_calls_no_library(compile_piece):
    arrays = batch(step_arrays(gaussian(1, 37), Rows()), 0)
    compiled = compile_piece('{% include "sample/cpu.j2" %}', arrays, **operands(37))
    assert not {name for name in compiled.calls() if name.startswith(("log", "exp", "TVMBackend"))}

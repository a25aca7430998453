"""How logits become tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inferflux.ir import ops
from inferflux.ir.ops.philox import uniform
from inferflux.ir.ops.sample import MAX_LOGPROBS, choose

VOCAB = 40
OFF = {"temperature": 1.0, "top_k": VOCAB, "top_p": 1.0, "min_p": 0.0}
logits_rows = arrays.arrays(np.float32, VOCAB, elements=st.floats(-20, 20, width=32))


def sample(logits, *, seed=0, position=3, forced=VOCAB, num_logprobs=0, **cuts):
    cuts = {**OFF, **cuts}
    return ops.sample.numpy(
        np.asarray(logits, np.float32)[None],
        np.array([cuts["temperature"]], np.float32),
        np.array([cuts["top_k"]], np.int32),
        np.array([cuts["top_p"]], np.float32),
        np.array([cuts["min_p"]], np.float32),
        np.array([seed], np.uint64),
        np.array([forced], np.int32),
        np.array([num_logprobs], np.int32),
        np.array([0], np.int32),
        np.array([position], np.int32),
    )


def token(logits, **cuts):
    return int(sample(logits, **cuts)[0][0])


def drawn(logits, **cuts):
    return {token(logits, seed=seed, **cuts) for seed in range(300)}


def test_greedy_takes_the_first_of_the_largest():
    logits = np.zeros(VOCAB)
    logits[[7, 9]] = 2
    assert token(logits, temperature=0) == 7


@given(logits_rows, st.integers(0, 2**64 - 1))
def test_top_k_1_is_greedy(logits, seed):
    assert token(logits, seed=seed, top_k=1) == token(logits, temperature=0)


@given(logits_rows, st.integers(0, 2**64 - 1))
def test_the_smallest_top_p_is_greedy(logits, seed):
    assert token(logits, seed=seed, top_p=1e-9) == token(logits, temperature=0)


def test_top_k_keeps_the_lowest_index_of_equals():
    assert drawn(np.zeros(VOCAB), top_k=3) == {0, 1, 2}


def test_top_p_keeps_the_fewest_that_have_the_mass():
    logits = np.full(VOCAB, -50.0)
    logits[[30, 20, 10]] = np.log([0.5, 0.3, 0.2])
    assert drawn(logits, top_p=0.5) == {30}
    assert drawn(logits, top_p=0.6) == {30, 20}
    assert drawn(logits, top_p=0.85) == {30, 20, 10}


def test_top_p_is_of_the_mass_that_top_k_left():
    logits = np.full(VOCAB, -50.0)
    logits[[30, 20, 10]] = np.log([0.5, 0.3, 0.2])
    assert drawn(logits, top_k=2, top_p=0.6) == {30}  # 0.5 of 0.8


def test_min_p_is_relative_to_the_best():
    logits = np.full(VOCAB, -50.0)
    logits[[30, 20, 10]] = np.log([0.5, 0.3, 0.2])
    assert drawn(logits, min_p=0.5) == {30, 20}


@given(logits_rows, st.integers(0, 2**64 - 1), st.integers(0, 10**6))
def test_the_token_is_where_the_running_sum_passes_the_draw(logits, seed, position):
    probs = np.exp(logits.astype(np.float64) - logits.max())
    running = np.cumsum(probs / probs.sum())
    u = uniform(np.array([seed], np.uint64), np.array([position], np.int32))[0]
    chosen = token(logits, seed=seed, position=position)
    before = running[chosen - 1] if chosen else 0
    assert before - 1e-5 <= u <= running[chosen] + 1e-5


@pytest.mark.parametrize(("drawn", "index"), [(0, 3), (0.4999, 3), (0.5, 5), (0.9999, 5)])
def test_a_draw_on_the_edge_goes_to_the_token_behind_it(drawn, index):
    logits = np.full(VOCAB, -1000, np.float32)
    logits[[3, 5]] = 0
    assert choose(logits, 1.0, VOCAB, 1.0, 0.0, drawn) == index


def test_a_draw_does_not_depend_on_the_row_it_is_in():
    logits = np.random.default_rng(0).standard_normal((2, VOCAB)).astype(np.float32)
    both = ops.sample.numpy(
        logits,
        *(np.full(2, OFF[name], np.float32) for name in ("temperature",)),
        np.full(2, VOCAB, np.int32),
        np.ones(2, np.float32),
        np.zeros(2, np.float32),
        np.array([5, 6], np.uint64),
        np.full(2, VOCAB, np.int32),
        np.zeros(2, np.int32),
        np.array([2, 1], np.int32),
        np.array([0, 11, 12], np.int32),
    )[0]
    alone = [token(logits[0], seed=5, position=12), token(logits[1], seed=6, position=11)]
    assert both.tolist() == alone


def test_a_forced_token_stands_there_with_its_own_logprob():
    logits = np.random.default_rng(0).standard_normal(VOCAB)
    tokens, logprobs, _, _ = sample(logits, forced=17, temperature=0)
    assert tokens.tolist() == [17]
    expected = logits - np.log(np.exp(logits).sum())
    np.testing.assert_allclose(logprobs, expected[17], rtol=1e-5)


@pytest.mark.parametrize("count", [0, 3, MAX_LOGPROBS, 99])
def test_alternatives_are_the_best_and_no_more_than_asked(count):
    logits = np.random.default_rng(0).standard_normal(VOCAB)
    _, _, tokens, logprobs = sample(logits, num_logprobs=count)
    expected = np.argsort(-logits)[: min(count, MAX_LOGPROBS)]
    assert tokens[0, : len(expected)].tolist() == expected.tolist()
    assert np.all(np.diff(logprobs[0, : len(expected)]) <= 0)
    assert not tokens[0, len(expected) :].any()
    assert not logprobs[0, len(expected) :].any()

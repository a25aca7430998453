"""What ops compute, against the plainest way to compute it."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import OPS

PAGE, HEADS, KV_HEADS, HEAD_DIM = 16, 4, 2, 8
random = np.random.default_rng(11)


def floats(*shape):
    return random.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", OPS)
def test_every_op_says_what_it_means(name):
    assert OPS[name].doc
    assert OPS[name].numpy


def test_rms_norm_gives_rows_of_unit_mean_square():
    x = floats(3, 64)
    normed = ops.rms_norm.numpy(x, np.ones(64, np.float32), eps=0.0)
    np.testing.assert_allclose(np.mean(normed**2, axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(normed / x, np.broadcast_to((normed / x)[:, :1], x.shape), rtol=1e-5)


def test_silu_of_large_numbers_overflows_nowhere():
    x = np.array([-200, -1, 0, 1, 200], np.float32)
    expected = [0, -0.26894142, 0, 0.73105858, 200]
    np.testing.assert_allclose(ops.silu.numpy(x), expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("pairs", ["adjacent", "halves"])
def test_rope_turns_each_pair_as_a_complex_number(pairs):
    x, positions = floats(3, 2 * HEAD_DIM), np.array([0, 5, 30])
    table = ops.rope_table.numpy(theta=100.0, head_dim=HEAD_DIM, length=31)
    turned = ops.rope.numpy(x, positions, table, head_dim=HEAD_DIM, pairs=pairs)
    heads, results = x.reshape(3, 2, HEAD_DIM), turned.reshape(3, 2, HEAD_DIM)
    half = HEAD_DIM // 2
    for i in range(half):
        a, b = (2 * i, 2 * i + 1) if pairs == "adjacent" else (i, i + half)
        angle = positions * 100.0 ** (-2 * i / HEAD_DIM)
        expected = (heads[..., a] + 1j * heads[..., b]) * np.exp(1j * angle)[:, None]
        after = results[..., a] + 1j * results[..., b]
        np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)


def test_rope_factors_divide_the_frequencies_of_their_pairs():
    shape = {"theta": 100.0, "head_dim": 8, "length": 20}
    plain = ops.rope_table.numpy(**shape)
    scaled = ops.rope_table.numpy(**shape, factors=(1.0, 2.0, 4.0, 1.0))
    for pair, factor in enumerate((1, 2, 4, 1)):
        for column in (pair, pair + 4):  # cosine, sine
            np.testing.assert_allclose(
                scaled[::factor, column], plain[: -(-20 // factor), column], atol=1e-6
            )


def test_appending_writes_one_slot_of_one_layer_and_leaves_the_operand_alone():
    pages = np.zeros((2, 3, KV_HEADS, HEAD_DIM, PAGE))
    x = floats(2, KV_HEADS * HEAD_DIM)
    written = ops.append_keys.numpy(pages, x, np.array([17, 3]), layer=2, head_dim=HEAD_DIM)
    assert not pages.any()
    np.testing.assert_array_equal(written[1, 2, :, :, 1], x[0].reshape(KV_HEADS, HEAD_DIM))
    np.testing.assert_array_equal(written[0, 2, :, :, 3], x[1].reshape(KV_HEADS, HEAD_DIM))
    assert np.count_nonzero(written) == 2 * KV_HEADS * HEAD_DIM


@pytest.mark.parametrize("window", [None, 1, 7, 100])
def test_attention_is_softmax_over_what_the_token_may_see(window):
    keys, values = floats(40, KV_HEADS, HEAD_DIM), floats(40, KV_HEADS, HEAD_DIM)
    table = np.array([[4, 4, 4], [3, 0, 2]])
    slots = table[1, np.arange(40) // PAGE] * PAGE + np.arange(40) % PAGE
    shape = {"layer": 1, "head_dim": HEAD_DIM}
    k = ops.append_keys.numpy(
        np.full((5, 2, KV_HEADS, HEAD_DIM, PAGE), np.nan), keys.reshape(40, -1), slots, **shape
    )
    v = ops.append_values.numpy(
        np.full((5, 2, KV_HEADS, PAGE, HEAD_DIM), np.nan), values.reshape(40, -1), slots, **shape
    )
    q, positions = floats(2, HEADS * HEAD_DIM), np.array([37, 5])
    where = (positions, np.array([1, 1]), table)
    out = ops.attention.numpy(q, k, v, *where, **shape, scale=0.3, window=window)

    for token, position in enumerate(positions):
        seen = slice(max(0, position + 1 - (window or 10**6)), position + 1)
        for head in range(HEADS):
            query = q[token].reshape(HEADS, HEAD_DIM)[head]
            weights = np.exp(0.3 * keys[seen, head // 2] @ query)
            expected = weights / weights.sum() @ values[seen, head // 2]
            got = out[token].reshape(HEADS, HEAD_DIM)[head]
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)

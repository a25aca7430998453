"""What ops compute, against the plainest way to compute it."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.alibi import alibi_slopes
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


def test_layer_norm_gives_rows_of_mean_zero_and_unit_variance():
    x, one = 5 + 3 * floats(3, 64), np.ones(64, np.float32)
    normed = ops.layer_norm.numpy(x, one, eps=0.0)
    np.testing.assert_allclose(normed.mean(axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(normed.var(axis=-1), 1, rtol=1e-5)
    biased = ops.layer_norm.numpy(x, 2 * one, one, eps=0.0)
    np.testing.assert_allclose(biased, 2 * normed + 1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["rms", "layer"])
@pytest.mark.parametrize("own", [False, True], ids=["one weight", "a weight per head"])
def test_norm_heads_norms_every_head_as_if_it_were_a_row(kind, own):
    x, weight = floats(3, 2 * HEAD_DIM), floats(2, HEAD_DIM)
    given = weight.reshape(-1) if own else weight[0]
    normed = ops.norm_heads.numpy(x, given, eps=1e-5, head_dim=HEAD_DIM, kind=kind)
    norm = ops.rms_norm if kind == "rms" else ops.layer_norm
    for head in range(2):
        columns = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        expected = norm.numpy(x[:, columns], weight[head if own else 0], eps=1e-5)
        np.testing.assert_allclose(normed[:, columns], expected, rtol=1e-6)


def test_gelu_is_x_times_the_share_of_a_normal_distribution_below_x():
    x = np.array([-30, -1, 0, 0.5, 1, 30], np.float32)
    below = np.array([NormalDist().cdf(each) for each in x.tolist()])
    np.testing.assert_allclose(ops.gelu.numpy(x), x * below, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(ops.gelu_tanh.numpy(x), x * below, atol=5e-4)
    assert ops.gelu.numpy(x).dtype == ops.gelu_tanh.numpy(x).dtype == np.float32


def test_soft_cap_leaves_small_numbers_and_never_passes_the_cap():
    x = np.array([-1e9, -0.01, 0, 0.01, 1e9], np.float32)
    capped = ops.soft_cap.numpy(x, cap=30.0)
    np.testing.assert_allclose(capped, [-30, -0.01, 0, 0.01, 30], rtol=1e-5)


def test_scale_multiplies_by_a_number():
    np.testing.assert_array_equal(ops.scale.numpy(np.float32([1, -2]), by=0.5), [0.5, -1])


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


@pytest.mark.parametrize("pairs", ["adjacent", "halves"])
def test_a_table_of_fewer_columns_turns_the_first_of_each_head_and_passes_the_rest_on(pairs):
    x, positions = floats(3, 2 * HEAD_DIM), np.array([0, 5, 30])
    table = ops.rope_table.numpy(theta=100.0, head_dim=4, length=31)
    turned = ops.rope.numpy(x, positions, table, head_dim=HEAD_DIM, pairs=pairs)
    heads, results = x.reshape(3, 2, HEAD_DIM), turned.reshape(3, 2, HEAD_DIM)
    first = np.ascontiguousarray(heads[..., :4]).reshape(3, 8)
    expected = ops.rope.numpy(first, positions, table, head_dim=4, pairs=pairs)
    np.testing.assert_array_equal(results[..., :4].reshape(3, 8), expected)
    np.testing.assert_array_equal(results[..., 4:], heads[..., 4:])


def test_rope_factors_divide_the_frequencies_of_their_pairs():
    shape = {"theta": 100.0, "head_dim": 8, "length": 20}
    plain = ops.rope_table.numpy(**shape)
    scaled = ops.rope_table.numpy(**shape, factors=(1.0, 2.0, 4.0, 1.0))
    for pair, factor in enumerate((1, 2, 4, 1)):
        for column in (pair, pair + 4):  # cosine, sine
            np.testing.assert_allclose(
                scaled[::factor, column], plain[: -(-20 // factor), column], atol=1e-6
            )


def test_rows_beyond_the_original_length_are_turned_by_the_long_factors():
    shape = {"theta": 100.0, "head_dim": 4, "length": 20}
    short, long = (ops.rope_table.numpy(**shape, factors=each) for each in ((1.0, 2.0), (3.0, 5.0)))
    both = {"factors": (1.0, 2.0), "long_factors": (3.0, 5.0), "original": 7}
    table = ops.rope_table.numpy(**shape, **both, magnitude=1.5)
    np.testing.assert_allclose(table, 1.5 * np.r_[short[:7], long[7:]], rtol=1e-6)


def test_each_row_of_a_growing_base_is_that_of_a_sequence_that_ends_there():
    table = ops.rope_table.numpy(theta=100.0, head_dim=8, length=20, growth=3.0, original=8)
    for row in range(20):
        base = 100.0 * (3.0 * max(row + 1, 8) / 8 - 2.0) ** (8 / 6)
        same = ops.rope_table.numpy(theta=base, head_dim=8, length=20)
        np.testing.assert_allclose(table[row], same[row], rtol=1e-6)


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


def attended(q, k, v, **attrs):
    """One token at position S - 1, over keys and values (S, K, D) in pages of one layer."""
    length, kv_heads, head_dim = k.shape
    table = np.arange(-(-length // PAGE))[None]
    slots = np.arange(length)
    pages = [
        append.numpy(empty, rows.reshape(length, -1), slots, layer=0, head_dim=rows.shape[-1])
        for append, rows, empty in (
            (ops.append_keys, k, np.zeros((table.size, 1, kv_heads, head_dim, PAGE), np.float32)),
            (
                ops.append_values,
                v,
                np.zeros((table.size, 1, kv_heads, PAGE, v.shape[-1]), np.float32),
            ),
        )
    ]
    where = np.array([length - 1]), np.array([0]), table
    sinks = attrs.pop("sinks", ())
    out = ops.attention.numpy(
        q[None], *pages, *where, *sinks, layer=0, head_dim=head_dim, scale=0.3, **attrs
    )
    return out.reshape(HEADS, -1)


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def test_values_may_have_another_size_than_keys():
    q, k, v = floats(HEADS * HEAD_DIM), floats(20, KV_HEADS, HEAD_DIM), floats(20, KV_HEADS, 6)
    got = attended(q, k, v, value_dim=6)
    for head in range(HEADS):
        scores = 0.3 * k[:, head // 2] @ q.reshape(HEADS, -1)[head]
        np.testing.assert_allclose(got[head], softmax(scores) @ v[:, head // 2], rtol=1e-4)


def test_a_sink_takes_its_share_of_the_weights_and_gives_no_value():
    q, k, v = floats(HEADS * HEAD_DIM), *floats(2, 20, KV_HEADS, HEAD_DIM)
    sinks = floats(HEADS) * 3
    got = attended(q, k, v, sinks=(sinks,))
    for head in range(HEADS):
        scores = 0.3 * k[:, head // 2] @ q.reshape(HEADS, -1)[head]
        weights = softmax(np.append(scores, sinks[head]))[:-1]
        np.testing.assert_allclose(got[head], weights @ v[:, head // 2], rtol=1e-4)


def test_a_soft_cap_bends_scores_and_alibi_lowers_those_of_distant_keys_after_it():
    q, k, v = floats(HEADS * HEAD_DIM), *floats(2, 20, KV_HEADS, HEAD_DIM)
    got = attended(q, k, v, soft_cap=0.7, alibi=8.0, alibi_scale=0.5)
    for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
        scores = 0.7 * np.tanh(0.3 * k[:, head // 2] @ q.reshape(HEADS, -1)[head] / 0.7)
        scores = scores - 0.5 * slope * np.arange(19, -1, -1)
        np.testing.assert_allclose(got[head], softmax(scores) @ v[:, head // 2], rtol=1e-4)


def test_slopes_of_other_numbers_of_heads_go_on_between_those_of_the_power_of_two():
    assert alibi_slopes(4, 8.0) == (1 / 4, 1 / 16, 1 / 64, 1 / 256)
    assert alibi_slopes(6, 8.0) == (1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8)


def test_join_heads_puts_the_parts_of_each_head_together():
    x, y = np.arange(8).reshape(1, 8), 10 * np.arange(1, 5).reshape(1, 4)
    joined = ops.join_heads.numpy(x, y, num_heads=4)
    assert joined.tolist() == [[0, 1, 10, 2, 3, 20, 4, 5, 30, 6, 7, 40]]


def test_linear_heads_multiplies_each_head_by_its_own_matrix():
    x, weight = floats(3, HEADS * 5), floats(HEADS, 7, 5)
    product = ops.linear_heads.numpy(x, weight).reshape(3, HEADS, 7)
    for head in range(HEADS):
        expected = x[:, head * 5 : head * 5 + 5] @ weight[head].T
        np.testing.assert_allclose(product[:, head], expected, rtol=1e-4, atol=1e-6)

"""How a step's attention is cut into items: everything once, nothing twice, the longest first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.codegen.artifact.compiled import AttentionCut
from inferflux.codegen.artifact.spans import cut_attention, list_sizes

CUT = AttentionCut(span_keys=16, block_tokens=8, max_partials=40)
sequences = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), min_size=1, max_size=8)


def cut_of(lengths, cut=CUT):
    """The cut of sequences given as (old tokens, new tokens), with the positions."""
    counts = [new for _, new in lengths]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    positions = np.concatenate([np.arange(old, old + new) for old, new in lengths])
    return cut_attention(starts, positions.astype(np.int32), cut), starts, positions


@given(sequences, st.sampled_from([None, 1, 24, 100]))
def test_every_token_meets_every_span_of_its_context_once(lengths, window):
    spans, _, positions = cut_of(lengths, replace(CUT, window=window))
    met = [list[int]() for _ in positions]
    for token, count, first, end, *_ in spans.items:
        for each in range(token, token + count):
            met[each] += range(first, end)
    for position, seen in zip(positions, met, strict=True):
        own = position // CUT.span_keys + 1  # spans past a token's own are its neighbours'
        assert sorted(seen)[:own] == list(range(own))
        assert len(seen) == len(set(seen))


@given(sequences)
def test_a_block_is_of_one_sequence_and_not_too_long(lengths):
    spans, starts, _ = cut_of(lengths)
    for token, count, *_ in spans.items:
        assert 1 <= count <= CUT.block_tokens
        assert np.searchsorted(starts, token, "right") == np.searchsorted(
            starts, token + count - 1, "right"
        )


@given(sequences)
def test_results_that_are_to_be_merged_have_places_of_their_own(lengths):
    spans, _, positions = cut_of(lengths)
    written = [
        first + place * num_spans + span
        for _, count, start, end, is_shared, first, num_spans, _ in spans.items
        if is_shared
        for place in range(count)
        for span in range(start, end)
    ]
    assert len(written) == len(set(written))
    assert max(written, default=0) < CUT.max_partials
    shared = {t + i for t, n, *_ in spans.items[spans.items[:, 4] == 1] for i in range(n)}
    assert shared == set(spans.merges[:, 0])
    for token, first, *_ in spans.merges:
        own = positions[token] // CUT.span_keys + 1
        assert set(range(first, first + own)) <= set(written)


@given(sequences)
def test_the_longest_come_first_and_all_fit_the_lists(lengths):
    spans, _, positions = cut_of(lengths)
    room = list_sizes(CUT, len(positions))
    items, merges = (np.zeros(room[name], np.int32) for name in ("spans", "merges"))
    spans.write(items, merges)
    np.testing.assert_array_equal(items[: spans.items.size], spans.items.reshape(-1))
    whole = spans.items[spans.items[:, 4] == 0]
    work = whole[:, 1] * positions[whole[:, 0] + whole[:, 1] - 1] + whole[:, 1]
    assert (np.diff(work) <= 0).all()


@pytest.mark.parametrize(
    ("lengths", "num_items"),
    [
        ([(7935, 1)], 31),  # one long stream: an item a span
        ([(128, 1)] * 16, 16),  # short ones: a token each
        ([(0, 512)], 64),  # a prompt: a block each
    ],
)
def test_work_is_cut_where_it_is_long(lengths, num_items):
    cut = AttentionCut(span_keys=256, block_tokens=8, max_partials=1024)
    assert len(cut_of(lengths, cut)[0].items) == num_items


def test_items_of_a_window_share_what_is_seen_of_it():
    """Were all 256 spans shared out, 8 of the 65 in the window would be one item's."""
    cut = AttentionCut(span_keys=16, block_tokens=8, max_partials=4096, window=1024)
    spans, _, positions = cut_of([(4095, 1)], cut)
    (position,) = positions
    unseen = (position + 1 - cut.window) // cut.span_keys
    seen = [end - max(first, unseen) for _, _, first, end, *_ in spans.items]
    assert len(seen) > 16
    assert max(seen) - min(seen) <= 1


def test_a_long_context_behind_a_window_weighs_no_more_than_a_short_one():
    cut = AttentionCut(span_keys=16, block_tokens=8, max_partials=4096, window=64)
    spans, *_ = cut_of([(8000, 1), (100, 1)], cut)
    of_long, of_short = (np.count_nonzero(spans.items[:, 0] == token) for token in (0, 1))
    assert of_long == of_short

"""The page pool: no page is lost, none has two owners, and a failed reservation changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from inferflux.codegen.artifact.compiled import PAGE_SIZE, KVGroup, KVStream
from inferflux.engine.pages import PagedKVCache, PagePool, divide
from inferflux.engine.retention import Holding, Retention, pages_for

NUM_PAGES = 12


class PoolMachine(RuleBasedStateMachine):
    """Any order of reserve, share and release, against a list of who owns what."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(NUM_PAGES)
        self.owned: list[list[int]] = []

    holdings = Bundle("holdings")

    @rule(target=holdings, count=st.integers(0, NUM_PAGES + 2))
    def reserve(self, count):
        num_free = self.pool.num_free
        pages = self.pool.reserve(count)
        if pages is None:
            assert count > num_free
            assert self.pool.num_free == num_free
            return []
        assert len(pages) == count
        assert not set(pages) & {page for held in self.owned for page in held}
        self.owned.append(pages)
        return pages

    @rule(target=holdings, pages=holdings)
    def share(self, pages):
        shared = list(pages)
        self.pool.share(shared)
        self.owned.append(shared)
        return shared

    @rule(target=holdings, pages=consumes(holdings), count=st.integers(0, 4))
    def release_the_first(self, pages, count):
        """As a window does that moves on."""
        self.pool.release(pages[:count])
        if pages:
            self.owned.remove(pages)
        if kept := pages[count:]:
            self.owned.append(kept)
        return kept

    @rule(pages=consumes(holdings))
    def release(self, pages):
        self.pool.release(pages)
        if pages:
            self.owned.remove(pages)

    @invariant()
    def every_page_is_free_or_has_its_owners(self):
        owned = [page for held in self.owned for page in held]
        assert self.pool.num_free == NUM_PAGES - len(set(owned))
        for page in range(NUM_PAGES):
            assert self.pool.references(page) == owned.count(page)


TestPool = PoolMachine.TestCase


def test_a_page_is_released_exactly_once():
    pool = PagePool(2)
    pages = pool.reserve(1)
    pool.release(pages)
    with pytest.raises(AssertionError, match="released twice"):
        pool.release(pages)


def test_a_free_page_cannot_be_shared():
    with pytest.raises(AssertionError, match="is free"):
        PagePool(2).share([0])


def test_a_reservation_that_one_group_cannot_meet_takes_from_none():
    cache = PagedKVCache((4, 2), (None, None))
    assert cache.reserve(3) is None
    assert [pool.num_free for pool in cache.pools] == [4, 2]
    assert [len(held) for held in cache.reserve(2)] == [2, 2]


@given(st.integers(1, 1 << 20), st.lists(st.integers(1, 999), min_size=1, max_size=4))
def test_groups_hold_equally_many_tokens_within_the_budget(kv_bytes, page_bytes):
    groups = [KVGroup((0,), None, (KVStream("k", "uint8", (size,)),)) for size in page_bytes]
    [count] = set(divide(kv_bytes, groups))
    assert count * sum(page_bytes) <= kv_bytes < (count + 1) * sum(page_bytes)


@given(
    st.integers(1, 1 << 16),
    st.lists(st.tuples(st.integers(1, 99), st.none() | st.integers(1, 99)), min_size=1, max_size=5),
)
def test_what_a_group_cannot_use_is_left_to_the_others(kv_bytes, groups):
    kv_groups = [KVGroup((0,), None, (KVStream("k", "uint8", (size,)),)) for size, _ in groups]
    most = [limit for _, limit in groups]
    counts = divide(kv_bytes, kv_groups, most)
    assert sum(n * size for n, (size, _) in zip(counts, groups, strict=True)) <= kv_bytes
    shared = max(counts)
    for count, limit in zip(counts, most, strict=True):
        assert count == (shared if limit is None else min(limit, shared))
    more = [min(shared + 1, limit or shared + 1) for limit in most]
    is_full = sum(n * size for n, (size, _) in zip(more, groups, strict=True)) > kv_bytes
    assert is_full or counts == tuple(most)


@pytest.mark.parametrize("window", [1, 2, 15, 16, 17, 33, 1000])
@pytest.mark.parametrize("chunk", [1, 7, 16, 40])
def test_a_window_keeps_every_page_it_sees_and_never_more_than_it_says(window, chunk):
    kept, held = Retention(window), Holding()
    for start in range(0, 300, chunk):
        held.forget(kept.first_page(start))
        held.pages += range(held.end, pages_for(start + chunk))
        seen = range(max(0, start + 1 - window), start + chunk)
        assert held.pages == list(range(held.first, held.end))
        assert {position // PAGE_SIZE for position in seen} == set(held.pages)
        assert len(held.pages) <= kept.most_pages(10**6, chunk)

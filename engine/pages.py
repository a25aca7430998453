"""Paged KV memory: pools of reference-counted pages, one pool per KV group."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inferflux.codegen.artifact.compiled import PAGE_SIZE, KVGroup
from inferflux.engine.retention import Holding, Retention

Pages = tuple[list[int], ...]  # per KV group, physical pages of one sequence in order
Holdings = tuple[Holding, ...]  # per KV group


class PagePool:
    """Pages ``0..num_pages``.  Every page is free, or has as many owners as its count says."""

    def __init__(self, num_pages: int) -> None:
        self.num_pages = num_pages
        self._references = [0] * num_pages
        self._free = list(range(num_pages - 1, -1, -1))  # a stack: low pages first, warm ones again

    @property
    def num_free(self) -> int:
        return len(self._free)

    def references(self, page: int) -> int:
        return self._references[page]

    def reserve(self, count: int) -> list[int] | None:
        """``count`` pages with one owner each, or None, and then nothing has changed."""
        if count > len(self._free):
            return None
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            self._references[page] = 1
        return pages

    def share(self, pages: Sequence[int]) -> None:
        """Give every page one owner more."""
        for page in pages:
            assert self._references[page] > 0, f"page {page} is free and cannot be shared"
            self._references[page] += 1

    def release(self, pages: Sequence[int]) -> None:
        """Take one owner from every page; a page without owners is free."""
        for page in pages:
            assert self._references[page] > 0, f"page {page} is released twice"
            self._references[page] -= 1
            if not self._references[page]:
                self._free.append(page)


class PagedKVCache:
    """The pools of all KV groups.  A sequence takes as many pages of each, and gives back those of
    a windowed group that its tokens see no more."""

    def __init__(self, num_pages: Sequence[int], windows: Sequence[int | None]) -> None:
        assert num_pages, "a model has at least one KV group"
        self._pools = tuple(PagePool(count) for count in num_pages)
        self._kept = tuple(Retention(window) for window in windows)
        assert len(self._pools) == len(self._kept), "every group has a window or none"

    @property
    def pools(self) -> tuple[PagePool, ...]:
        return self._pools

    @property
    def num_free(self) -> int:
        return sum(pool.num_free for pool in self._pools)

    @property
    def num_pages(self) -> int:
        return sum(pool.num_pages for pool in self._pools)

    @property
    def num_free_by_group(self) -> tuple[int, ...]:
        return tuple(pool.num_free for pool in self._pools)

    def capacity(self, context_length: int, chunk_tokens: int) -> int:
        """Tokens of the longest sequence that fits when nothing else runs."""
        most = self.most_pages(context_length, chunk_tokens)
        short = [
            pool.num_pages
            for pool, pages in zip(self._pools, most, strict=True)
            if pages > pool.num_pages
        ]
        return min(short) * PAGE_SIZE if short else context_length

    def most_pages(self, num_tokens: int, chunk_tokens: int) -> tuple[int, ...]:
        """What a sequence of so many tokens ever holds of each group, so many computed a step."""
        return tuple(kept.most_pages(num_tokens, chunk_tokens) for kept in self._kept)

    def nothing(self) -> Holdings:
        """What a sequence holds that is about to take its first pages."""
        return tuple(Holding() for _ in self._pools)

    def reserve(self, count: int) -> Pages | None:
        """``count`` pages of every group, or None, and then nothing has changed."""
        if count > min(self.num_free_by_group):
            return None
        return tuple(pool.reserve(count) or [] for pool in self._pools)

    def forget(self, held: Holdings, num_computed: int) -> None:
        """Free what tokens see no more of which so many others are computed."""
        for pool, kept, holding in zip(self._pools, self._kept, held, strict=True):
            pool.release(holding.forget(kept.first_page(num_computed)))

    def release(self, held: Holdings) -> None:
        for pool, holding in zip(self._pools, held, strict=True):
            pool.release(holding.pages)


def divide(
    kv_bytes: int, groups: Sequence[KVGroup], most: Sequence[int | None] | None = None
) -> tuple[int, ...]:
    """Pages per group within ``kv_bytes``: as many of each, but for what a group cannot use.

    ``most`` is that number of each group; None: it can use any.  What such a group leaves is the
    others'.
    """
    limits = [math.inf if limit is None else limit for limit in most or (None,) * len(groups)]
    left, sharing = kv_bytes, list(range(len(groups)))
    while sharing:
        count = left // sum(groups[index].page_bytes for index in sharing)
        full = [index for index in sharing if limits[index] <= count]
        if not full:
            break
        left -= sum(int(limits[index]) * groups[index].page_bytes for index in full)
        sharing = [index for index in sharing if index not in full]
    return tuple(int(min(limit, count)) for limit in limits)

"""Paged KV memory: pools of reference-counted pages, one pool per KV group."""

from __future__ import annotations

from collections.abc import Sequence

from inferflux.codegen.artifact.compiled import PAGE_SIZE, KVGroup

Pages = tuple[list[int], ...]  # per KV group, the physical pages of one sequence in order


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
    """The pools of all KV groups.  A sequence holds as many pages in each."""

    def __init__(self, num_pages: Sequence[int]) -> None:
        assert num_pages, "a model has at least one KV group"
        self._pools = tuple(PagePool(count) for count in num_pages)

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
    def capacity(self) -> int:
        """Tokens of the longest sequence that fits when nothing else runs."""
        return min(pool.num_pages for pool in self._pools) * PAGE_SIZE

    @property
    def num_free_in_every_group(self) -> int:
        """Pages of one more sequence, which holds as many in each group."""
        return min(pool.num_free for pool in self._pools)

    def reserve(self, count: int) -> Pages | None:
        """``count`` pages of every group, or None, and then nothing has changed."""
        if count > self.num_free_in_every_group:
            return None
        return tuple(pool.reserve(count) or [] for pool in self._pools)

    def release(self, pages: Pages) -> None:
        for pool, held in zip(self._pools, pages, strict=True):
            pool.release(held)


def pages_for(num_tokens: int) -> int:
    return -(-num_tokens // PAGE_SIZE)


def divide(kv_bytes: int, groups: Sequence[KVGroup]) -> tuple[int, ...]:
    """Pages per group, so that all groups hold the same number of tokens within ``kv_bytes``."""
    count = kv_bytes // sum(group.page_bytes for group in groups)
    return (count,) * len(groups)

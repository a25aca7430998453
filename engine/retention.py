"""What a KV group keeps of a sequence: all of it, or the pages that its window still sees."""

from __future__ import annotations

from dataclasses import dataclass, field

from inferflux.codegen.artifact.compiled import PAGE_SIZE


def pages_for(num_tokens: int) -> int:
    return -(-num_tokens // PAGE_SIZE)


@dataclass(frozen=True, slots=True)
class Retention:
    """Every token sees the ``window`` last ones, itself among them; None: all."""

    window: int | None

    def first_page(self, num_computed: int) -> int:
        """The first page that tokens see of which so many others are computed."""
        return 0 if self.window is None else max(0, num_computed + 1 - self.window) // PAGE_SIZE

    def most_pages(self, num_tokens: int, chunk_tokens: int) -> int:
        """What a sequence of so many tokens ever holds, computed at most so many a step."""
        if self.window is None:
            return pages_for(num_tokens)
        seen = self.window - 1 + chunk_tokens  # by a step, which may begin anywhere in a page
        return min(pages_for(num_tokens), pages_for(seen - 1) + 1)


@dataclass(slots=True)
class Holding:
    """One sequence's pages of one group: its pages ``first`` and on, those before are freed."""

    first: int = 0
    pages: list[int] = field(default_factory=list)  # physical

    @property
    def end(self) -> int:
        return self.first + len(self.pages)

    def forget(self, first: int) -> list[int]:
        """Give up the pages before ``first``."""
        count = max(0, first - self.first)
        forgotten, self.pages = self.pages[:count], self.pages[count:]
        self.first += len(forgotten)
        return forgotten

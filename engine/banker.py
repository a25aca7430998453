"""The banker's rule: who may take KV pages now, so that every sequence can still finish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Bankers:
    """A banker for each KV group: a sequence takes as many pages of all groups, or fewer.

    A group with a window gets pages back before a sequence ends.  Its need is counted to the most
    it ever holds, so that giving back k pages raises need, free, and nothing else by k: no slack
    falls.
    """

    def __init__(self, num_free: Iterable[int]) -> None:
        self._bankers = [Banker(count) for count in num_free]

    @property
    def headroom(self) -> int:
        """Pages of every group that the next sequence may take."""
        return min(banker.headroom for banker in self._bankers)

    def go_on(self, num_held: Sequence[int], most: Sequence[int], num_taken: int) -> None:
        """As ``Banker.go_on``: what a sequence held of each group, and the most it ever holds."""
        for banker, held, limit in zip(self._bankers, num_held, most, strict=True):
            banker.go_on(held, limit - held, num_taken)


class Banker:
    """One pass over the running sequences, oldest first, that says who may take how many pages.

    A state is *safe* if the sequences can finish one after the other in the order of their age,
    none giving back a page before it ends: for every sequence s,

        need(s) <= free + held(older than s)

    where need(s) is what s may still take until it is full.  The slack of s is by how much.

    Taking k pages for s lowers the slack of every older sequence by k (free falls) and leaves that
    of s (free and need fall) and of every younger one (free falls, what is held before it rises).
    So k pages are granted exactly where the least slack of the older sequences is k or more, and
    one pass that carries this least slack along decides for all: O(1) a sequence.

    Why everything ends.  The state without sequences is safe.  Grants keep it safe, as shown; a
    sequence that ends only adds to slacks; one that is admitted is the youngest, and its own slack
    is the whole pool less its length, which was checked before it was queued.  In a safe state the
    oldest finds need <= free and has no older one to wait for: it takes all it asks for and never
    pauses.  A step it runs in brings it nearer to its end, and then another one is the oldest.
    """

    def __init__(self, num_free: int) -> None:
        self.headroom = num_free  # pages the next sequence may take
        self._available = num_free  # free when the pass began, and held by those passed

    def go_on(self, num_held: int, num_needed: int, num_taken: int) -> None:
        """To the next younger, after one that held and needed so many pages took ``num_taken``."""
        slack = self._available - num_needed
        assert slack >= 0, f"unsafe: {num_needed} pages needed, {self._available} to be had"
        assert num_taken <= self.headroom, f"{num_taken} pages taken of {self.headroom}"
        self.headroom = min(self.headroom - num_taken, slack)
        self._available += num_held

"""The banker grants exactly what leaves a safe state, by its definition."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.engine.banker import Banker

counts = st.integers(0, 12)
sequences = st.lists(st.tuples(counts, counts, counts), max_size=8)  # held, needed, wanted


def least_free(held: list[int], needed: list[int]) -> int:
    """The fewest free pages with which all can finish, the oldest first."""
    older = accumulate(held, initial=0)
    return max((need - before for need, before in zip(needed, older, strict=False)), default=0)


def most_granted(free: int, held: list[int], needed: list[int], index: int) -> int:
    """Try every number of pages, and keep the largest that leaves a safe state."""

    def is_safe(count: int) -> bool:
        changed = [
            (h + count, n - count) if i == index else (h, n)
            for i, (h, n) in enumerate(zip(held, needed, strict=True))
        ]
        return free - count >= least_free(*map(list, zip(*changed, strict=True)))

    return max(count for count in range(needed[index] + 1) if is_safe(count))


@given(sequences, counts)
def test_one_pass_grants_what_trying_every_state_grants(batch, spare):
    held, needed, wanted = ([row[column] for row in batch] for column in range(3))
    free = least_free(held, needed) + spare
    banker = Banker(free)
    for index, want in enumerate(wanted):
        most = min(banker.headroom, needed[index])
        assert most == most_granted(free, held, needed, index)
        taken = min(want, most)
        banker.go_on(held[index], needed[index], taken)
        free, held[index], needed[index] = free - taken, held[index] + taken, needed[index] - taken
    assert free >= least_free(held, needed)


def test_what_was_not_granted_cannot_be_taken():
    banker = Banker(4)
    banker.go_on(num_held=1, num_needed=3, num_taken=0)
    assert banker.headroom == 1  # three are kept for the oldest
    with pytest.raises(AssertionError, match="2 pages taken of 1"):
        banker.go_on(num_held=0, num_needed=5, num_taken=2)


def test_an_unsafe_state_is_not_gone_on_from():
    with pytest.raises(AssertionError, match="unsafe: 5 pages needed, 4 to be had"):
        Banker(4).go_on(num_held=1, num_needed=5, num_taken=0)

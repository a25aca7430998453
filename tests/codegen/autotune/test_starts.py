"""Each variant of a step serves where it is fastest, in ranges one behind the other."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from inferflux.codegen.autotune.starts import best_starts


def blocks(rows: int, seconds: float, tokens=(1, 2, 3, 4, 5, 8, 16)):
    """A variant that takes so long for each block of rows."""
    return {count: math.ceil(count / rows) * seconds for count in tokens}


def test_a_range_begins_behind_the_last_number_at_which_another_is_faster():
    assert best_starts([blocks(1, 1.0), blocks(4, 2.5)]) == [1, 3]


def test_one_that_is_never_fastest_does_not_serve():
    assert best_starts([blocks(1, 1.0), blocks(2, 1.9), blocks(4, 1.85)]) == [1, None, 2]


def test_what_was_not_measured_is_not_taken():
    few = {1: 1.0, 2: 2.0}
    many = {4: 3.0, 8: 3.0}
    assert best_starts([few, many]) == [1, 3]


def test_a_single_outlier_does_not_split_a_range():
    slow, fast = dict.fromkeys(range(1, 9), 2.0), dict.fromkeys(range(1, 9), 1.0)
    assert best_starts([slow, fast | {3: 2.1}]) == [None, 1]


@given(st.lists(st.lists(st.floats(0.5, 4.0), min_size=5, max_size=5), min_size=1, max_size=3))
def test_no_other_ranges_are_better(seconds):
    times = [dict(enumerate(row, start=1)) for row in seconds]

    def cost(path):
        return sum(math.log(times[who][count]) for count, who in enumerate(path, start=1))

    every = itertools.combinations_with_replacement(range(len(times)), 5)
    starts = best_starts(times)
    path = [max((s, v) for v, s in enumerate(starts) if s and s <= n)[1] for n in range(1, 6)]
    assert cost(path) <= min(map(cost, every)) + 1e-9

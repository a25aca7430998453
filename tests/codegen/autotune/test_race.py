"""Candidates take turns under the same disturbances; who is clearly slower leaves early."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from inferflux.codegen.autotune.race import MAX_ROUNDS, MIN_ROUNDS, OutOfTime, race


def never() -> bool:
    return False


class Track:
    """Launches that take given seconds, and who was launched when."""

    def __init__(self, *seconds: Iterable[float]) -> None:
        self.order: list[int] = []
        self.launches = [self._launch(*pair) for pair in enumerate(seconds)]

    def _launch(self, number, seconds):
        turns = iter(seconds)

        def launch():
            self.order.append(number)
            return next(turns)

        return launch


def steady(seconds: float) -> Iterable[float]:
    return itertools.repeat(seconds)


def test_the_first_run_of_each_does_not_count():
    track = Track([100.0, *[1.0] * 99], [0.001, *[2.0] * 99])
    first, second = race(track.launches, never)
    assert (first.median, second.median) == (1.0, 2.0)


def test_candidates_take_turns_and_each_round_begins_with_another():
    track = Track(*[steady(1.0)] * 3)
    race(track.launches, never)
    rounds = [track.order[start : start + 3] for start in range(3, 12, 3)]
    assert rounds == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]


def test_who_is_clearly_slower_leaves_after_the_first_rounds():
    track = Track(steady(1.0), steady(1.1), steady(1.01))
    entrants = race(track.launches, never)
    assert [len(entrant.seconds) for entrant in entrants] == [MAX_ROUNDS, MIN_ROUNDS, MAX_ROUNDS]


def test_one_that_was_only_disturbed_stays():
    disturbed = [1.0, 5.0, 1.0, 5.0, 5.0, *[1.0] * 99]
    entrants = race(Track(steady(1.0), disturbed).launches, never)
    assert len(entrants[1].seconds) == MAX_ROUNDS
    assert entrants[1].median == 1.0


def test_a_race_ends_when_one_is_left():
    track = Track(steady(1.0), steady(2.0), steady(3.0))
    assert [len(entrant.seconds) for entrant in race(track.launches, never)] == [MIN_ROUNDS] * 3


def test_the_spread_is_that_of_the_middle_half():
    (entrant,) = race(Track([0.0, 9.0, 10.0, 11.0, 99.0, *[10.0] * 99]).launches, never)
    assert entrant.median == 10.5
    assert entrant.spread == pytest.approx((33.0 - 9.75) / 10.5)


def test_nothing_is_said_of_a_race_that_the_budget_ended():
    asked = iter([False, False, True])
    track = Track(steady(1.0), steady(1.0))
    with pytest.raises(OutOfTime):
        race(track.launches, lambda: next(asked))
    assert len(track.order) == 2 + 2 * 2, "two warm-ups, two rounds"

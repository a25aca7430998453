"""Measuring candidates against each other on a machine that others disturb.

They take turns, so that whoever disturbs disturbs them alike; medians forget the worst turns; and
who is clearly slower leaves early, so that time is spent where it decides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inferflux.codegen.autotune.device import Launch

MIN_ROUNDS = 4  # before anybody leaves
MAX_ROUNDS = 16
MARGIN = 0.02  # clearly slower: even the fastest turn is slower by so much than the leader's median


@dataclass(slots=True)
class Entrant:
    """A candidate in the race, and the seconds of its turns."""

    launch: Launch
    seconds: list[float] = field(default_factory=list)
    in_race: bool = True

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Width of the middle half of the turns, as a share of the median."""
        if len(self.seconds) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (third - first) / self.median

    @property
    def noise(self) -> float:
        """The standard error of the median, of a normal distribution, as a share of it."""
        return 0.93 * self.spread / math.sqrt(len(self.seconds))


class OutOfTime(Exception):
    """The budget ended before the race did.  Nothing can be said of it."""


def race(launches: Sequence[Launch], is_over: Callable[[], bool]) -> list[Entrant]:
    """Let candidates take turns until one is left or ``MAX_ROUNDS`` are done.

    Raises:
        OutOfTime: ``is_over`` said so between two rounds.
    """
    entrants = [Entrant(launch) for launch in launches]
    for entrant in entrants:
        entrant.launch()  # the first run finds cold code, and pages that nobody has touched
    for number in range(MAX_ROUNDS):
        running = [entrant for entrant in entrants if entrant.in_race]
        if number >= MIN_ROUNDS and len(running) == 1:
            break
        if is_over():
            raise OutOfTime
        for place in range(
            len(running)
        ):  # each round begins with another, for the first is special
            entrant = running[(place + number) % len(running)]
            entrant.seconds.append(entrant.launch())
        if number + 1 >= MIN_ROUNDS:
            _dismiss(running)
    return entrants


def _dismiss(running: Sequence[Entrant]) -> None:
    limit = min(entrant.median for entrant in running) * (1 + MARGIN)
    for entrant in running:
        entrant.in_race = min(entrant.seconds) <= limit

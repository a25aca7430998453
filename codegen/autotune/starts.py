"""From how many tokens on each variant of a step serves: the ranges in which each is fastest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Times = Mapping[int, float]  # number of tokens -> seconds of a step

TOKENS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)  # that are measured


def best_starts(times: Sequence[Times]) -> list[int | None]:
    """For each variant the number of tokens from which it serves; None: another is always faster.

    Variants are given in the order in which they shall serve, each up to the start of the next.  Of
    all such orders of ranges it is the one with the least sum of logarithms of the times: a step
    twice as slow counts alike for one token and for hundreds.  What was not measured is not taken.
    """
    measured = sorted(set().union(*times))
    cost: list[float] = [0.0] + [math.inf] * (len(times) - 1)  # ... if this variant serves now
    chosen: list[list[int]] = []  # at each number of tokens: who serves, if this one does next
    for tokens in measured:
        before = [min(range(last + 1), key=cost.__getitem__) for last in range(len(times))]
        chosen.append(before)
        cost = [
            cost[before[variant]] + math.log(times[variant].get(tokens, math.inf))
            for variant in range(len(times))
        ]
    return _starts(measured, _path(cost, chosen), len(times))


def _path(cost: Sequence[float], chosen: Sequence[Sequence[int]]) -> list[int]:
    """Who serves at each measured number of tokens."""
    serving = min(range(len(cost)), key=cost.__getitem__)
    path = [serving]
    for before in reversed(chosen[1:]):
        serving = before[serving]
        path.append(serving)
    return path[::-1]


def _starts(measured: Sequence[int], path: Sequence[int], num_variants: int) -> list[int | None]:
    """A range begins behind the last number of tokens at which the one before is faster."""
    starts: list[int | None] = [None] * num_variants
    for place, variant in enumerate(path):
        if starts[variant] is None:
            starts[variant] = measured[place - 1] + 1 if place else 1
    return starts

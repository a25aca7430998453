"""A figure: the median of some runs, and how far they spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What several runs of one measure gave, in the order in which they ran."""

    median: float
    low: float
    high: float
    runs: list[float]

    @classmethod
    def of(cls, runs: Sequence[float]) -> Figure:
        rounded = [_rounded(run) for run in runs]
        return cls(_rounded(statistics.median(runs)), min(rounded), max(rounded), rounded)


def ratios(ours: Figure, other: Figure) -> Figure:
    """Ours to the other's, round by round: what disturbed a whole round falls out of it."""
    return Figure.of([a / b for a, b in zip(ours.runs, other.runs, strict=True)])


def _rounded(value: float) -> float:
    """To five digits: no measurement here is better."""
    return float(f"{value:.5g}")

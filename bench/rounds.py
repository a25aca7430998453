"""Rounds: every side runs a measure once a round, in alternating order."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from inferflux.bench.figures import Figure, ratios
from inferflux.bench.measures import Measure
from inferflux.bench.side import Setting, Side

TRIAL_RUNS = 2  # of each setting, before the rounds


class Tried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A setting and the mean speed of its trial."""

    setting: dict[str, bool | int | str]
    speed: float


class SideSpeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one side reached, and with which of its settings."""

    speed: Figure  # tok/s
    setting: dict[str, bool | int | str] = {}
    tried: list[Tried] = []


class OfflineFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measure of all sides.  ``ratios`` are of the first side to each other one."""

    key: str
    measure: Measure
    sides: dict[str, SideSpeed]
    ratios: dict[str, Figure] = {}


def compare(measure: Measure, sides: Sequence[Side], rounds: int) -> Iterator[OfflineFigure]:
    """Let every side choose its setting, then run the rounds; gives the figure after each.

    What slows the machine for a while meets all sides of a round, and which goes first alternates.
    """
    chosen = {side.name: choose(side, measure) for side in sides}
    runs: dict[str, list[float]] = {side.name: [] for side in sides}
    for index in range(rounds):
        for side in sides if index % 2 == 0 else reversed(sides):
            runs[side.name].append(side.run())
        speeds = {
            name: SideSpeed(Figure.of(runs[name]), dict(setting), tried)
            for name, (setting, tried) in chosen.items()
        }
        yield OfflineFigure(measure.key, measure, speeds, _ratios(speeds))


def choose(side: Side, measure: Measure) -> tuple[Setting, list[Tried]]:
    """Prepare a side with the fastest of its settings; tried are only those it has to choose of."""
    settings = side.settings(measure)
    if len(settings) == 1:
        side.prepare(measure, settings[0])
        return settings[0], []
    tried = [Tried(dict(setting), _trial(side, measure, setting)) for setting in settings]
    best = max(tried, key=lambda trial: trial.speed).setting
    if best != tried[-1].setting:  # the last one tried is still prepared
        side.prepare(measure, best)
    return best, tried


def measure_all(
    measures: Sequence[Measure],
    sides: Sequence[Side],
    rounds: int,
    on_progress: Callable[[str, float], None],
    keep: Callable[[list[OfflineFigure]], None],
) -> None:
    """Every measure, one after the other; after every round all figures so far are kept."""
    done: list[OfflineFigure] = []
    for index, measure in enumerate(measures):
        on_progress(measure.key, index / len(measures))
        figures: list[OfflineFigure] = []
        for figure in compare(measure, sides, rounds):
            figures = [*done, figure]
            keep(figures)
        done = figures


def _trial(side: Side, measure: Measure, setting: Setting) -> float:
    side.prepare(measure, setting)
    return float(f"{statistics.mean(side.run() for _ in range(TRIAL_RUNS)):.5g}")


def _ratios(speeds: Mapping[str, SideSpeed]) -> dict[str, Figure]:
    (_, ours), *others = speeds.items()
    return {name: ratios(ours.speed, other.speed) for name, other in others}

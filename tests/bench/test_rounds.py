"""Rounds on sides that do nothing but write down in which order they ran."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from inferflux.bench.measures import Decode, Measure, Prefill
from inferflux.bench.rounds import TRIAL_RUNS, OfflineFigure, compare, measure_all
from inferflux.bench.side import NO_CHOICES, Choices, Setting

LOG = list[str]


@dataclass
class ScriptedSide:
    """Gives the speeds of a list, in order; with settings, each has a speed of its own."""

    name: str
    log: LOG
    speeds: Iterator[float] = field(default_factory=lambda: itertools.repeat(1.0))
    choices: Choices = NO_CHOICES
    by_setting: dict[str, float] = field(default_factory=dict)
    setting: Setting = field(default_factory=dict)

    def settings(self, measure: Measure) -> Sequence[Setting]:
        return self.choices.of(measure)

    def prepare(self, measure: Measure, setting: Setting) -> None:
        self.setting = setting
        self.log.append(f"{self.name} prepares {measure.key} {dict(setting)}")

    def run(self) -> float:
        self.log.append(f"{self.name} runs")
        return self.by_setting.get(str(dict(self.setting))) or next(self.speeds)


def test_sides_take_turns_and_the_first_of_a_round_alternates() -> None:
    log: LOG = []
    list(compare(Prefill(8), (ScriptedSide("a", log), ScriptedSide("b", log)), rounds=3))
    assert log == [
        "a prepares prefill_8 {}",
        "b prepares prefill_8 {}",
        *("a runs", "b runs", "b runs", "a runs", "a runs", "b runs"),
    ]


def test_a_ratio_is_taken_within_each_round() -> None:
    """The second round ran on a machine half as fast; the ratio does not see it."""
    ours = ScriptedSide("ours", [], iter([20.0, 10.0, 21.0]))
    other = ScriptedSide("other", [], iter([10.0, 5.0, 10.0]))
    *_, figure = compare(Prefill(8), (ours, other), rounds=3)
    assert figure.sides["ours"].speed.median == 20.0
    assert (figure.sides["ours"].speed.low, figure.sides["ours"].speed.high) == (10.0, 21.0)
    assert figure.ratios["other"].runs == [2.0, 2.0, 2.1]
    assert figure.ratios["other"].median == 2.0


def test_a_side_alone_has_no_ratio() -> None:
    (figure,) = compare(Prefill(8), (ScriptedSide("a", []),), rounds=1)
    assert figure.ratios == {}


def test_the_rounds_run_with_the_fastest_of_a_sides_settings() -> None:
    log: LOG = []
    side = ScriptedSide(
        "peer",
        log,
        choices=Choices(alone={"flash": (True, False)}, shared={"unified": (True, False)}),
        by_setting={
            "{'flash': True, 'unified': True}": 5.0,
            "{'flash': True, 'unified': False}": 9.0,
            "{'flash': False, 'unified': True}": 4.0,
            "{'flash': False, 'unified': False}": 8.0,
        },
    )
    kept: list[list[OfflineFigure]] = []
    measure_all([Decode(4, 8, 2)], [side], 2, lambda key, fraction: None, kept.append)
    (figure,) = kept[-1]
    measured = figure.sides["peer"]
    assert measured.setting == {"flash": True, "unified": False}
    assert measured.speed.median == 9.0
    assert [trial.speed for trial in measured.tried] == [5.0, 9.0, 4.0, 8.0]
    assert log[-3:] == [
        "peer prepares decode_x4@8 {'flash': True, 'unified': False}",
        *("peer runs", "peer runs"),
    ]
    assert log.count("peer runs") == 4 * TRIAL_RUNS + 2


def test_what_only_streams_share_is_not_tried_with_one() -> None:
    choices = Choices(alone={"flash": (True, False)}, shared={"unified": (True, False)})
    assert choices.of(Prefill(8)) == [
        {"flash": True, "unified": True},
        {"flash": False, "unified": True},
    ]
    assert len(choices.of(Decode(2, 8, 1))) == 4


def test_progress_names_what_is_measured() -> None:
    heard: list[tuple[str, float]] = []
    measures = (Prefill(8), Decode(1, 8, 2))
    measure_all(
        measures, [ScriptedSide("a", [])], 1, lambda *said: heard.append(said), lambda figures: None
    )
    assert heard == [("prefill_8", 0.0), ("decode_x1@8", pytest.approx(0.5))]


def test_what_was_measured_before_a_run_is_broken_off_is_kept() -> None:
    """After every round: the second measure's second run fails."""

    class Fails(Exception):
        pass

    def speeds() -> Iterator[float]:
        yield from (1.0, 2.0, 3.0, 5.0)
        raise Fails

    kept: list[list[OfflineFigure]] = []
    side, measures = ScriptedSide("a", [], speeds()), (Prefill(8), Prefill(16))
    with pytest.raises(Fails):
        measure_all(measures, [side], 3, lambda key, fraction: None, kept.append)
    runs = [{figure.key: figure.sides["a"].speed.runs for figure in figures} for figures in kept]
    assert runs == [
        {"prefill_8": [1.0]},
        {"prefill_8": [1.0, 2.0]},
        {"prefill_8": [1.0, 2.0, 3.0]},
        {"prefill_8": [1.0, 2.0, 3.0], "prefill_16": [5.0]},
    ]

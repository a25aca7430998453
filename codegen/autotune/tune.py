"""Tuning a model: every phase with a choice is measured, checked, and recorded at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from inferflux.codegen.autotune import cost
from inferflux.codegen.autotune.device import Device, Launch
from inferflux.codegen.autotune.race import Entrant, OutOfTime, race
from inferflux.codegen.autotune.record import Record
from inferflux.codegen.autotune.table import Table
from inferflux.codegen.autotune.task import Task
from inferflux.codegen.autotune.trial import Trials
from inferflux.codegen.autotune.validate import WrongResult
from inferflux.codegen.keys import explain_miss
from inferflux.kernels.kernel import Schedule

IsOver = Callable[[], bool]

log = logging.getLogger(__name__)

NUM_CANDIDATES = 8  # of a space that are measured, the default among them
WORTH_IT = 0.01  # of the default's time: what another schedule must save to be recorded


class Report(Protocol):
    """Who hears how tuning goes."""

    def stage(self, name: str, fraction: float) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Tuned:
    """How far a run of the tuner came."""

    table: Table
    measured: tuple[Record, ...]  # by this run
    num_kept: int  # phases whose records still held
    num_left: int  # phases that the budget did not reach

    def with_record(self, record: Record) -> Tuned:
        return replace(
            self, table=self.table.with_record(record), measured=(*self.measured, record)
        )


class Tuner:
    """Tunes the phases of one target on one device, the most costly first.

    Args:
        prepare: makes a task's trials ready.
        keep: called with the table after every phase: what was measured is not lost.
        budget: seconds, or None for as long as it takes.
    """

    def __init__(
        self,
        device: Device,
        prepare: Callable[[Task], Trials],
        keep: Callable[[Table], None],
        report: Report,
        budget: float | None = None,
    ) -> None:
        self._device, self._prepare, self._keep, self._report = device, prepare, keep, report
        self._end = None if budget is None else device.now() + budget

    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self._end is not None and self._device.now() >= self._end

    def limit(self, num_measured: int) -> IsOver:
        """What ends a measurement that began in time: the budget, but not of a run's first.

        Else runs of a budget that is too short for one phase would never come to an end.
        """
        return self.is_over if num_measured else lambda: False

    def run(self, tasks: Sequence[Task], table: Table) -> Tuned:
        """Measure what has no record under its key.  Ctrl-C loses the phase it falls into."""
        waiting = self._waiting(tasks, table)
        measured: list[Record] = []
        for task in waiting:
            self._report.stage(str(task), len(measured) / len(waiting))
            try:
                record = self._measure(task, self.limit(len(measured)))
            except OutOfTime:
                break
            table = table.with_record(record)
            self._keep(table)
            measured.append(record)
        left = len(waiting) - len(measured)
        return Tuned(table, tuple(measured), len(tasks) - len(waiting), left)

    def _waiting(self, tasks: Sequence[Task], table: Table) -> list[Task]:
        waiting = [task for task in tasks if table.fresh(task.key) is None]
        for task in waiting:
            if (old := table.find(task.key)) is not None:
                reason = explain_miss(old.key.factors, task.key.factors)
                self._report.note(f"measuring {task} again: {reason}")
        return sorted(waiting, key=self._share, reverse=True)

    def _share(self, task: Task) -> float:
        """What a step spends in the phase, by the model."""
        return task.scope.uses * cost.seconds(task, task.space[0], self._device.facts.num_workers)

    def _measure(self, task: Task, is_over: IsOver) -> Record:
        if self.is_over():
            raise OutOfTime
        trials = self._prepare(task)
        candidates = self._candidates(task)
        entrants = race(self._launches(trials, candidates, is_over), is_over)
        chosen = _choose(candidates, entrants, trials)
        return _record(task, candidates[chosen], entrants[chosen], entrants)

    def _launches(
        self, trials: Trials, candidates: Sequence[Schedule], is_over: IsOver
    ) -> list[Launch]:
        launches = []
        for schedule in candidates:
            if is_over():
                raise OutOfTime
            launches.append(trials.launch(schedule))
        return launches

    def _candidates(self, task: Task) -> tuple[Schedule, ...]:
        """The default, and what the model thinks best."""
        default = task.space[0]
        best = cost.ordered(task, self._device.facts.num_workers)
        others = [schedule for schedule in best if schedule != default]
        return (default, *others[: NUM_CANDIDATES - 1])


def _choose(candidates: Sequence[Schedule], entrants: Sequence[Entrant], trials: Trials) -> int:
    """The fastest that computes what its op means; the default, unless it is beaten clearly."""
    default = entrants[0]
    faster = [n for n, entrant in enumerate(entrants) if _is_clearly_faster(entrant, default)]
    for number in (*sorted(faster, key=lambda number: entrants[number].median), 0):
        try:
            trials.check(candidates[number])
        except WrongResult as error:
            if number == 0:
                raise
            log.warning("schedule %s is rejected: %s", dict(candidates[number]), error)
        else:
            return number
    raise AssertionError("the default is right, or it raised")


def _is_clearly_faster(entrant: Entrant, default: Entrant) -> bool:
    """By more than is worth a record, and by more than their medians may be off."""
    needed = 1 - WORTH_IT - default.noise - entrant.noise
    return entrant.median < default.median * needed


def _record(task: Task, schedule: Schedule, won: Entrant, entrants: Sequence[Entrant]) -> Record:
    return Record(
        key=task.key,
        schedule=schedule,
        num_tokens=task.num_tokens,
        num_candidates=len(entrants),
        num_measurements=len(won.seconds),
        median_us=_microseconds(won.median),
        spread=round(won.spread, 3),
        default_us=_microseconds(entrants[0].median),
    )


def _microseconds(seconds: float) -> float:
    return round(seconds * 1e6, 2)

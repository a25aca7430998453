"""A run of the tuner: what it measures first, keeps, rejects, takes up again and leaves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from inferflux.codegen.autotune.race import MIN_ROUNDS
from inferflux.codegen.autotune.table import DeviceFacts, Table
from inferflux.codegen.autotune.task import tasks
from inferflux.codegen.autotune.tune import NUM_CANDIDATES, Tuner
from inferflux.codegen.autotune.validate import WrongResult
from inferflux.codegen.autotune.variants import Variant
from inferflux.kernels.kernel import StepShape

TARGET = "cpu:portable"
SLOW, FAST = 2.0, 1.0


@dataclass
class FakeDevice:
    """A machine whose clock moves only by what is run on it."""

    clock: float = 100.0
    facts: DeviceFacts = field(default_factory=lambda: DeviceFacts("fake", 2))
    machine: str = "x86_64"

    def now(self) -> float:
        return self.clock

    def load(self, *given: Any) -> Any:
        raise AssertionError("fake trials load nothing")


@dataclass
class FakeTrials:
    """Schedules that take the seconds ``takes`` says; those in ``wrong`` compute nonsense."""

    device: FakeDevice
    takes: Any
    wrong: tuple[Any, ...] = ()
    checked: list[Any] = field(default_factory=list)

    def launch(self, schedule):
        def run():
            seconds = self.takes(schedule)
            self.device.clock += seconds
            return seconds

        return run

    def check(self, schedule):
        self.checked.append(schedule)
        if schedule in self.wrong:
            raise WrongResult("nonsense")


@dataclass
class Heard:
    stages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def stage(self, name, fraction):
        self.stages.append(name)

    def note(self, text):
        self.notes.append(text)


@dataclass
class Bench:
    """A tuner on a fake device, the table it started from, and all that it kept."""

    device: FakeDevice = field(default_factory=FakeDevice)
    takes: Any = None
    wrong: tuple[Any, ...] = ()
    kept: list[Table] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    trials: dict[Any, FakeTrials] = field(default_factory=dict)

    def run(self, found, table=None, budget=None):
        start = table or Table(TARGET, self.device.facts, {})
        tuner = Tuner(self.device, self._prepare, self.kept.append, self.heard, budget)
        return tuner.run(found, start)

    def _prepare(self, task):
        takes = self.takes or (lambda schedule: FAST)
        self.trials[task.key] = FakeTrials(self.device, takes, self.wrong)
        return self.trials[task.key]


@pytest.fixture(scope="module")
def found(fused):
    shapes = (StepShape(1, 1), StepShape(4, 32))
    return tasks({"i8x32": fused}, [Variant("i8x32", shape) for shape in shapes], TARGET)


@pytest.fixture
def one(found):
    """One task with several schedules, and one of them that is not the default."""
    task = next(task for task in found if task.key.op == "gate_up_quantise")
    return task, next(s for s in task.space if s["units"] != task.space[0]["units"])


def test_every_phase_with_a_choice_is_a_task_once(found):
    ops = {(task.key.op, task.key.shape) for task in found}
    assert {op for op, _ in ops} >= {"qkv_rope_append", "linear_residual", "gate_up_quantise"}
    assert {op for op, _ in ops}.isdisjoint({"rms_norm_quantise", "sample", "embed"})
    assert len({task.key.place for task in found}) == len(found)


def test_a_faster_schedule_is_recorded(one):
    task, better = one
    bench = Bench(takes=lambda schedule: FAST if schedule == better else SLOW)
    (record,) = bench.run([task]).measured
    assert record.key == task.key
    assert record.schedule == better
    assert (record.median_us, record.default_us) == (FAST * 1e6, SLOW * 1e6)
    assert record.num_measurements == MIN_ROUNDS
    assert record.num_candidates == min(NUM_CANDIDATES, len(task.space))


def test_the_default_stays_unless_it_is_clearly_beaten(one):
    task, better = one
    bench = Bench(takes=lambda schedule: 0.995 if schedule == better else 1.0)
    assert bench.run([task]).measured[0].schedule == task.space[0]


def test_the_default_stays_where_noise_may_explain_the_difference(one):
    task, better = one
    turns = itertools.cycle([0.8, 1.0, 1.3, 1.6])
    default = itertools.cycle([0.9, 1.1, 1.4, 1.7])
    bench = Bench(takes=lambda s: next(turns if s == better else default))
    assert bench.run([task]).measured[0].schedule == task.space[0]


def test_a_schedule_that_computes_nonsense_is_rejected_however_fast(one, caplog):
    task, better = one
    bench = Bench(takes=lambda s: FAST if s == better else SLOW, wrong=(better,))
    assert bench.run([task]).measured[0].schedule == task.space[0]
    assert bench.trials[task.key].checked == [better, task.space[0]]
    assert "rejected" in caplog.text


def test_where_even_the_default_computes_nonsense_nothing_is_recorded(one):
    task, _ = one
    bench = Bench(wrong=task.space)
    with pytest.raises(WrongResult):
        bench.run([task])
    assert bench.kept == []


def test_the_most_costly_phases_come_first(found):
    bench = Bench()
    bench.run(found)
    first, *_, last = bench.heard.stages
    assert first == "attention_quantise (row_block=4)", "16 tokens, each with 512 before it"
    assert last == "linear_residual q4_1[128, 128] (row_block=1)"


def test_every_record_is_kept_at_once(found):
    bench = Bench()
    done = bench.run(found)
    assert [len(table.records) for table in bench.kept] == [*range(1, len(found) + 1)]
    assert bench.kept[-1] == done.table


def test_a_second_run_goes_on_where_the_budget_stopped_the_first(found):
    bench = Bench()
    first = bench.run(found, budget=150.0)
    assert 0 < len(first.measured) < len(found)
    assert first.num_left == len(found) - len(first.measured)
    second = bench.run(found, first.table)
    assert second.num_kept == len(first.measured)
    assert len(second.table.records) == len(found)
    ran_twice = {r.key for r in first.measured} & {r.key for r in second.measured}
    assert not ran_twice


def test_a_budget_too_short_for_one_phase_still_gets_one_done(found):
    table, bench = None, Bench()
    for number in range(3):
        done = bench.run(found, table, budget=0.5)
        assert (len(done.measured), done.num_kept) == (1, number)
        table = done.table


def test_what_is_interrupted_loses_only_the_phase_it_falls_into(found):
    bench = Bench()
    calls = iter(range(10**6))

    def interrupted(schedule):
        if next(calls) > 250:
            raise KeyboardInterrupt
        return FAST

    bench.takes = interrupted
    with pytest.raises(KeyboardInterrupt):
        bench.run(found)
    before = bench.kept[-1]
    assert 0 < len(before.records) < len(found)
    bench.takes = None
    assert bench.run(found, before).num_kept == len(before.records)


def test_a_stale_record_is_measured_again_and_the_factor_is_named(one):
    task, _ = one
    bench = Bench()
    table = bench.run([task]).table
    changed = replace(task, key=replace(task.key, toolchain="apache-tvm 9.9"))
    again = bench.run([changed], table)
    assert len(again.measured) == 1
    assert len(again.table.records) == 1
    (note,) = bench.heard.notes
    assert "toolchain changed" in note
    assert "-> 'apache-tvm 9.9'" in note

"""`inferflux tune` takes up files of records and adds to them; builds take those they are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from inferflux.bench.machine import this_machine
from inferflux.cli.build import BuildOptions, compile_to
from inferflux.cli.inferflux import app
from inferflux.cli.tuning import TuneOptions, tune_targets
from inferflux.cli.tuning_files import read_table, records_path, tuning_for, write_table
from inferflux.codegen.autotune import model as tuner
from inferflux.codegen.autotune.record import Record, TuningKey
from inferflux.codegen.autotune.table import DeviceFacts, Table
from inferflux.codegen.autotune.tune import Tuned
from inferflux.codegen.targets import TARGETS
from inferflux.errors import InvalidArgument

TARGET = "cpu:portable"
DEVICE = DeviceFacts("Some CPU 9", 2)


class Silent:
    def stage(self, name: str, fraction: float) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def record(op: str) -> Record:
    key = TuningKey(TARGET, op, "f32[T, 64]", "", "row_block=1", "tvm", "00")
    return Record(key, {"units": 2}, 1, 8, 16, 10.0, 0.01, 11.0)


def table(*ops: str, device: DeviceFacts = DEVICE) -> Table:
    return Table(TARGET, device, {record(op).key.place: record(op) for op in ops})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERFLUX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Table]]:
    """``measures(op)``: every run measures one phase, of that op; gives what runs started from."""
    started: list[Table] = []

    def answer(op: str) -> list[Table]:
        def tune_model(*given: Any) -> Tuned:
            before, keep = given[4], given[5]
            started.append(before)
            keep(before.with_record(record(op)))
            return Tuned(before.with_record(record(op)), (record(op),), len(before.records), 3)

        monkeypatch.setattr(tuner, "tune_model", tune_model)
        return started

    return answer


def test_what_is_measured_lies_in_the_file_of_this_machine(
    small_gguf: Path, tmp_path: Path, measures: Callable[[str], list[Table]]
) -> None:
    measures("linear")
    options = TuneOptions((TARGET,), folder=tmp_path, num_workers=2)
    (tuned,) = tune_targets(str(small_gguf), options, Silent())
    assert tuned.path == records_path(tmp_path, TARGET, this_machine().cpu)
    kept = read_table(tuned.path)
    assert kept == tuned.tuned.table
    assert kept is not None
    assert kept.device == DeviceFacts(this_machine().cpu, 2)
    assert tuned.summary() == f"1 measured, 0 kept, 3 left for the next run: {tuned.path}"


def test_the_next_run_goes_on_from_the_file(
    small_gguf: Path, cache: Path, measures: Callable[[str], list[Table]]
) -> None:
    measures("linear")
    tune_targets(str(small_gguf), TuneOptions((TARGET,)), Silent())
    started = measures("gate_up")
    (tuned,) = tune_targets(str(small_gguf), TuneOptions((TARGET,)), Silent())
    assert [len(before.records) for before in started] == [0, 1]
    assert cache in tuned.path.parents, "the user's own, where no folder is named"
    assert len(tuned.tuned.table.records) == 2


def test_records_of_so_many_workers_are_not_mixed_with_others(
    small_gguf: Path, tmp_path: Path, measures: Callable[[str], list[Table]]
) -> None:
    measures("linear")
    two, three = (TuneOptions((TARGET,), folder=tmp_path, num_workers=n) for n in (2, 3))
    tune_targets(str(small_gguf), two, Silent())
    with pytest.raises(InvalidArgument, match=r"with 2 workers, not of .* with 3"):
        tune_targets(str(small_gguf), three, Silent())


def test_phases_of_quantised_pages_are_tuned_where_they_are_asked_for(
    small_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def lower(*given: Any, **named: Any) -> Any:
        asked.append(named["kv_dtype"])
        raise KeyboardInterrupt

    monkeypatch.setattr(tuner, "lower", lower)
    words = ["tune", str(small_gguf), "--target", TARGET, "--output", str(tmp_path)]
    for more in ([], ["--kv-dtype", "int8"]):
        CliRunner().invoke(app(), [*words, *more])
    assert asked == ["f16", "int8"]


def test_a_target_that_does_not_run_here_is_not_measured(
    small_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TARGETS, TARGET, replace(TARGETS[TARGET], features=("nonesuch",)))
    with pytest.raises(InvalidArgument, match=r"cannot be measured here, .* no nonesuch"):
        tune_targets(str(small_gguf), TuneOptions((TARGET,)), Silent())


def test_what_is_compiled_is_not_tuned() -> None:
    with pytest.raises(InvalidArgument, match="compiled already"):
        tune_targets("model.ifx", TuneOptions(), Silent())


def test_a_build_takes_what_ships_where_nobody_says_otherwise() -> None:
    assert table("linear") not in tuning_for(None, (TARGET,)).tables


def test_a_build_takes_a_named_file_first(tmp_path: Path) -> None:
    write_table(table("linear"), tmp_path / "mine.json")
    assert tuning_for(str(tmp_path / "mine.json"), (TARGET,)).tables[0] == table("linear")


def test_a_build_takes_a_named_devices_records_from_the_users_own(cache: Path) -> None:
    write_table(table("linear"), records_path(None, TARGET, DEVICE.name))
    for name in ("Some CPU 9", "some-cpu-9"):
        assert tuning_for(name, (TARGET,)).tables[0] == table("linear")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [("nonesuch.json", "no such file"), ("Nobody's CPU", 'no tuning records of "Nobody\'s CPU"')],
)
def test_records_that_are_not_there_are_refused(wanted: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        tuning_for(wanted, (TARGET,))


def test_compile_hands_on_the_records_it_was_told_of(
    small_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inferflux import codegen
    from inferflux.codegen import artifact

    asked: list[Any] = []

    def compiled(source: Any, **options: Any) -> Any:
        asked.append(options)
        return SimpleNamespace(facts=SimpleNamespace(conversions=()))

    monkeypatch.setattr(codegen, "compile", compiled)
    monkeypatch.setattr(artifact, "save", lambda model, path: "digest")
    write_table(table("linear"), tmp_path / "mine.json")
    options = BuildOptions((TARGET,), tuned_for=str(tmp_path / "mine.json"))
    compile_to(str(small_gguf), tmp_path / "out.ifx", options, Silent())
    assert asked[0]["tuning"].tables[0] == table("linear")


@pytest.fixture
def small_gguf(tiny_gguf: Callable[..., Path]) -> Path:
    return tiny_gguf()


def test_a_budget_of_nothing_leaves_every_phase_for_the_next_run(
    small_gguf: Path, tmp_path: Path
) -> None:
    words = ["tune", str(small_gguf), "--target", TARGET, "--budget", "0.001s", "--json"]
    said = CliRunner().invoke(app(), [*words, "--output", str(tmp_path)])
    assert said.exit_code == 0, said.output
    (found,) = json.loads(said.stdout)
    assert (found["target"], found["measured"], found["kept"]) == (TARGET, [], 0)
    assert found["left"] > 5

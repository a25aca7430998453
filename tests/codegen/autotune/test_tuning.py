"""Builds take schedules from records: of exactly their phases, else of nobody."""

from __future__ import annotations

import platform
from dataclasses import replace

import pytest

from inferflux import codegen
from inferflux.codegen.autotune import tuning as module
from inferflux.codegen.autotune.record import tuning_key
from inferflux.codegen.autotune.tuning import Tuning, file_name, shipped_tuning
from inferflux.codegen.autotune.variants import variants_key, variants_of
from inferflux.codegen.select import Layers, select
from inferflux.codegen.targets import TARGETS
from inferflux.ir import frontend
from inferflux.kernels.kernel import StepShape

TARGET = "cpu:portable"
SHAPE = StepShape(1, 1)


def phase_of(graph, op="gate_up_quantise", shape=SHAPE, choose=None):
    options = {} if choose is None else {"choose": choose}
    items = select(graph, shape, TARGET, **options)
    layers = next(item for item in items if isinstance(item, Layers))
    return next(phase for phase in layers.bodies[0] if phase.node.op.name == op)


def key_of(phase):
    return tuning_key(phase.kernel, phase.node, phase.shape, TARGET)


@pytest.fixture
def other(fused):
    """A schedule that is not the default of the phase."""
    phase = phase_of(fused)
    return list(phase.kernel.schedules(phase.node, SHAPE))[-1]


@pytest.fixture
def record(fused, record_of, other):
    return record_of(key_of(phase_of(fused)), other)


def test_without_records_a_family_cuts_as_it_likes(fused):
    default = phase_of(fused)
    assert phase_of(fused, choose=Tuning().schedule).schedule == default.schedule


def test_a_record_decides_how_its_phase_is_cut(fused, table_of, record, other):
    tuning = Tuning((table_of(record),))
    assert phase_of(fused).schedule != other
    assert phase_of(fused, choose=tuning.schedule).schedule == other
    default = phase_of(fused, "linear_residual")
    chosen = phase_of(fused, "linear_residual", choose=tuning.schedule)
    assert chosen.schedule == default.schedule, "another phase is not touched"


def test_a_record_of_one_row_says_nothing_about_four(fused, table_of, record):
    tuning, four = Tuning((table_of(record),)), StepShape(4, 4)
    chosen = phase_of(fused, shape=four, choose=tuning.schedule)
    assert chosen.schedule == phase_of(fused, shape=four).schedule


def test_the_first_table_that_knows_the_phase_decides(fused, table_of, record):
    default = phase_of(fused).schedule
    says_default = replace(record, schedule=default)
    tuning = Tuning((table_of(), table_of(says_default), table_of(record)))
    assert phase_of(fused, choose=tuning.schedule).schedule == default


def test_a_stale_record_is_as_none(fused, table_of, record):
    stale = replace(record, key=replace(record.key, text="another"))
    tuning = Tuning((table_of(stale),))
    assert phase_of(fused, choose=tuning.schedule).schedule == phase_of(fused).schedule


def test_a_schedule_that_the_space_no_longer_has_is_as_none(fused, table_of, record):
    outside = replace(record, schedule={**record.schedule, "units": 10**6})
    tuning = Tuning((table_of(outside),))
    assert phase_of(fused, choose=tuning.schedule).schedule == phase_of(fused).schedule


@pytest.fixture
def one_row(monkeypatch):
    """The portable target for this machine and one row alone: compiling takes long."""
    facts = TARGETS[TARGET]
    here = {platform.machine(): facts.machines[platform.machine()]}
    monkeypatch.setitem(TARGETS, TARGET, replace(facts, machines=here, row_blocks=(1,)))


def test_a_build_takes_records_and_is_the_same_every_time(
    one_row, small_model, fused, table_of, record
):
    def build(tuning):
        return codegen.compile(frontend.open(small_model), (TARGET,), tuning=tuning).targets[TARGET]

    tuned, again = (build(Tuning((table_of(record),))) for _ in range(2))
    plain = build(Tuning())
    assert tuned.objects == again.objects
    assert tuned.target_key == again.target_key != plain.target_key
    cut = f"* {record.schedule['units']} + step_unit"
    assert any(cut in text for text in tuned.sources.values())
    assert not any(cut in text for text in plain.sources.values())
    changed = [key for key, digest in plain.kernel_keys.items() if tuned.kernel_keys[key] != digest]
    assert len(changed) == 1


def test_a_build_asks_for_what_ships_where_nobody_says_otherwise(monkeypatch, small_model):
    class Asked(Exception):
        pass

    def asked():
        raise Asked

    monkeypatch.setattr("inferflux.codegen.build.shipped_tuning", asked)
    with pytest.raises(Asked):
        codegen.compile(frontend.open(small_model), (TARGET,))


def test_what_ships_is_of_known_targets_and_within_their_spaces():
    for table in shipped_tuning().tables:
        assert table.target in TARGETS
        assert {record.key.target for record in table.records.values()} == {table.target}


def test_every_level_names_a_file_that_ships():
    levels = module.levels()
    assert len(shipped_tuning().tables) == len(levels)


def test_a_devices_file_has_a_name_for_every_file_system():
    assert file_name("AMD EPYC 9R14 (96-Core)") == "amd-epyc-9r14-96-core.json"


def test_a_build_compiles_only_the_variants_that_serve(
    monkeypatch, small_model, fused, table_of, record_of
):
    facts = TARGETS[TARGET]
    here = {platform.machine(): facts.machines[platform.machine()]}
    monkeypatch.setitem(TARGETS, TARGET, replace(facts, machines=here, row_blocks=(1, 2)))
    key = variants_key({"i8x32": fused}, variants_of(TARGETS[TARGET], {"i8x32": fused}), TARGET)
    tuning = Tuning((table_of(record_of(key, {"i8x32_1": 1})),))
    built = codegen.compile(frontend.open(small_model), (TARGET,), tuning=tuning).targets[TARGET]
    (variant,) = built.step.variants
    assert (variant.symbol, variant.min_tokens, variant.max_tokens) == ("step_i8x32_1", 1, 512)
    assert [name for name in built.sources if name.startswith("step_")] == ["step_i8x32_1.py"]

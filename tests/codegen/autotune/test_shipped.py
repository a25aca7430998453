"""The records that ship hold for the kernels of today: builds of the default model use them."""

from __future__ import annotations

from collections.abc import Iterator

from inferflux.codegen.autotune.record import TuningKey
from inferflux.codegen.autotune.table import DeviceFacts, Table
from inferflux.codegen.autotune.task import tasks
from inferflux.codegen.autotune.tuning import levels, shipped_table
from inferflux.codegen.autotune.variants import variants_key, variants_of
from inferflux.codegen.forms import lower
from inferflux.codegen.keys import explain_miss
from inferflux.codegen.targets import TARGETS
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelSource


def keys(source: ModelSource, target: str) -> Iterator[TuningKey]:
    """Of all that `inferflux tune` measures of a model."""
    graphs = lower(source, "default", [TARGETS[target]])
    variants = variants_of(TARGETS[target], graphs)
    yield from (task.key for task in tasks(graphs, variants, target))
    yield variants_key(graphs, variants, target)


def stale(source: ModelSource, table: Table) -> list[str]:
    """What is wrong with each record that does not hold, or is not there."""
    found = []
    for key in keys(source, table.target):
        if table.fresh(key) is None:
            old = table.find(key)
            why = explain_miss(old.key.factors, key.factors) if old else "there is no record"
            found.append(f"{key.op} {key.shape}: {why}")
    return found


def test_what_ships_for_the_default_model_is_fresh(default_model):
    source = frontend.open(default_model)
    for target, device in levels().items():
        table = shipped_table(target, device)
        assert table is not None, f"levels.json names {device} for {target}, which does not ship"
        assert not stale(source, table), (
            f"kernels changed since the records of {target} on {device} were measured: run "
            f"`inferflux tune smollm2-135m --target {target} --output autotune_cache` there"
        )


def test_a_level_without_records_would_be_found(default_model):
    table = Table("cpu:avx2", DeviceFacts("Some CPU 9", 2), {})
    missing = stale(frontend.open(default_model), table)
    assert missing[-1] == "step i8x32_1 i8x32_2 i8x32_4: there is no record"
    assert len(missing) > 15

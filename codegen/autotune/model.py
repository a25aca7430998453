"""Tuning a whole model for one target: its phases, then which variant of the step serves when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from inferflux.codegen.autotune.device import Device
from inferflux.codegen.autotune.race import OutOfTime
from inferflux.codegen.autotune.step_times import step_record, time_steps
from inferflux.codegen.autotune.table import Table
from inferflux.codegen.autotune.task import Task, tasks
from inferflux.codegen.autotune.trial import DeviceTrials
from inferflux.codegen.autotune.tune import Report, Tuned, Tuner
from inferflux.codegen.autotune.tuning import Tuning
from inferflux.codegen.autotune.variants import variants_key, variants_of
from inferflux.codegen.build import compile as compile_model
from inferflux.codegen.forms import lower
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.weights import plan_weights
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelSource

MOST_READ = 256 << 20  # bytes: past the largest of caches but few, and soon packed


def tune_model(
    source: ModelSource,
    target: CpuTarget,
    numerics: str,
    device: Device,
    table: Table,
    keep: Callable[[Table], None],
    report: Report,
    budget: float | None = None,
    kv_dtype: str = "f16",
) -> Tuned:
    """Measure what ``table`` has no record of: every phase, then whole steps; see ``Tuner``.

    The step in which a phase is measured reads as much as one of the model, so that caches hold
    what they hold there.  Whole steps are timed when all phases are tuned.
    """
    report.stage("reading the graph", 0.0)
    source = frontend.as_computed(source, numerics)
    graphs = lower(source, numerics, [target], kv_dtype=kv_dtype)
    graph = next(iter(graphs.values()))
    variants = variants_of(target, graphs)
    read_bytes = min(plan_weights(graph, target.name).nbytes, MOST_READ)

    def prepare(task: Task) -> DeviceTrials:
        return DeviceTrials(task, target, device, read_bytes)

    tuner = Tuner(device, prepare, keep, report, budget)
    tuned = tuner.run(tasks(graphs, variants, target.name), table)
    key = variants_key(graphs, variants, target.name)
    if len(variants) == 1 or tuned.table.fresh(key):
        return tuned
    if tuned.num_left or tuner.is_over():
        return replace(tuned, num_left=tuned.num_left + 1)
    model = compile_model(
        source,
        (target.name,),
        numerics,
        progress=report.stage,
        tuning=Tuning((tuned.table,)),
        kv_dtype=kv_dtype,
    )
    report.stage("timing whole steps", 0.99)
    try:
        found = time_steps(
            variants, device.steps(model, target.name), tuner.limit(len(tuned.measured))
        )
    except OutOfTime:
        return replace(tuned, num_left=1)
    tuned = tuned.with_record(step_record(key, variants, found))
    keep(tuned.table)
    return tuned

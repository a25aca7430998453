"""Tuning a whole model for one target: from its file to the table of its phases' records."""

from __future__ import annotations

from collections.abc import Callable

from inferflux.codegen.autotune.device import Device
from inferflux.codegen.autotune.table import Table
from inferflux.codegen.autotune.task import Task, tasks
from inferflux.codegen.autotune.trial import DeviceTrials
from inferflux.codegen.autotune.tune import Report, Tuned, Tuner
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.weights import plan_weights
from inferflux.ir import frontend, passes
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
) -> Tuned:
    """Measure every phase of a model's steps that ``table`` has no record of; see ``Tuner``.

    A measured step reads as much as one of the model, so that caches hold what they hold there.
    """
    report.stage("reading the graph", 0.0)
    graph = passes.run(frontend.build(source), numerics=numerics)
    read_bytes = min(plan_weights(graph, target.name).nbytes, MOST_READ)

    def prepare(task: Task) -> DeviceTrials:
        return DeviceTrials(task, target, device, read_bytes)

    tuner = Tuner(device, prepare, keep, report, budget)
    return tuner.run(tasks(graph, target.name, target.shapes("i8x32")), table)

"""What `inferflux bench --roofline` does: the roofs of this machine, and a model's phases."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from inferflux.cli.build import Report

if TYPE_CHECKING:
    from inferflux.bench.offline import Subject
    from inferflux.bench.roofline import RooflineResults


def measure_roofline(
    model: Path, subject: Subject, kv_dtype: str, report: Report
) -> RooflineResults:
    """Measure the phases of a model file, compiled as the subject was, each by itself."""
    from inferflux.bench.roofline import PhaseFigure, RoofFigures, RooflineResults
    from inferflux.cli.device import ThisMachine
    from inferflux.cli.tuning_files import tuning_for
    from inferflux.codegen.autotune.model import MOST_READ
    from inferflux.codegen.forms import lower
    from inferflux.codegen.roofline.phases import measure_phases
    from inferflux.codegen.roofline.roofs import measure_roofs
    from inferflux.codegen.targets import TARGETS
    from inferflux.codegen.weights import plan_weights
    from inferflux.ir import frontend

    target, device = TARGETS[subject.target.name], ThisMachine(subject.threads)
    numerics = subject.target.numerics
    source = frontend.as_computed(frontend.open(model), numerics)
    graphs = lower(source, numerics, [target], kv_dtype=kv_dtype)
    read_bytes = min(plan_weights(next(iter(graphs.values())), target.name).nbytes, MOST_READ)
    report.stage("roofs", 0.0)
    roofs = measure_roofs(target, device, read_bytes)
    choose = tuning_for(None, (target.name,)).schedule
    phases = []
    for phase in measure_phases(graphs, target, device, choose, read_bytes):
        report.stage(f"{phase.name}, {phase.num_tokens} tokens", 0.5)
        phases.append(PhaseFigure(**asdict(phase)))
    return RooflineResults(read_bytes, RoofFigures(**asdict(roofs)), phases)

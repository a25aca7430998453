"""What `inferflux tune` does: each target's file of records, taken up and added to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inferflux.cli import store
from inferflux.cli.build import BuildOptions, Report, resolve_targets
from inferflux.cli.model_argument import is_artifact
from inferflux.cli.tuning_files import read_table, records_path, write_table
from inferflux.errors import InvalidArgument

if TYPE_CHECKING:
    from inferflux.codegen.autotune.device import Device
    from inferflux.codegen.autotune.table import Table
    from inferflux.codegen.autotune.tune import Tuned
    from inferflux.codegen.target import CpuTarget


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What the user chose; no targets means the best this machine can run."""

    targets: tuple[str, ...] = ()
    numerics: str = "default"
    kv_dtype: str = "f16"
    budget: float | None = None  # seconds for each target
    folder: Path | None = None
    num_workers: int | None = None


@dataclass(frozen=True, slots=True)
class TunedTarget:
    """What came of one target, and the file it is in."""

    target: str
    path: Path
    tuned: Tuned

    def summary(self) -> str:
        left = f", {self.tuned.num_left} left for the next run" if self.tuned.num_left else ""
        done = f"{len(self.tuned.measured)} measured, {self.tuned.num_kept} kept{left}"
        return f"{done}: {self.path}"


def tune_targets(model: str, options: TuneOptions, report: Report) -> list[TunedTarget]:
    """Tune a model name or path for each target.

    Raises:
        InvalidArgument: a target is not known, or does not run here; the model is compiled
            already; the file of records is of another device.
    """
    from inferflux.bench.machine import usable_cores
    from inferflux.cli.device import ThisMachine
    from inferflux.codegen.targets import TARGETS

    if is_artifact(model):
        raise InvalidArgument(f"{model} is compiled already; name a model file to tune")
    targets = [TARGETS[name] for name in resolve_targets(BuildOptions(options.targets))]
    for target in targets:
        _require_runnable(target)
    source = store.resolve(model, report)
    device = ThisMachine(options.num_workers or usable_cores())
    return [_tune(source, target, device, options, report) for target in targets]


def _tune(
    source: Path, target: CpuTarget, device: Device, options: TuneOptions, report: Report
) -> TunedTarget:
    from inferflux.codegen.autotune.model import tune_model
    from inferflux.ir import frontend

    path = records_path(options.folder, target.name, device.facts.name)
    tuned = tune_model(
        frontend.open(source),
        target,
        options.numerics,
        device,
        _table(path, target.name, device),
        lambda table: write_table(table, path),
        report,
        options.budget,
        options.kv_dtype,
    )
    return TunedTarget(target.name, path, tuned)


def _table(path: Path, target: str, device: Device) -> Table:
    """What earlier runs recorded, or nothing yet."""
    from inferflux.codegen.autotune.table import Table

    table = read_table(path)
    if table is None:
        return Table(target, device.facts, {})
    if table.device != device.facts:
        raise InvalidArgument(
            f"{path} holds records of {table.device.name} with {table.device.num_workers} workers, "
            f"not of {device.facts.name} with {device.facts.num_workers}; choose another --output"
        )
    return table


def _require_runnable(target: CpuTarget) -> None:
    from inferflux.codegen.artifact import machine_features

    here = machine_features()
    missing = [feature for feature in target.features if feature not in here]
    if missing or here.isdisjoint(target.machines):
        wanted = ", ".join(missing) or " or ".join(target.machines)
        raise InvalidArgument(f"{target.name} cannot be measured here, where there is no {wanted}")

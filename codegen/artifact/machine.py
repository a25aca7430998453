"""What this machine can run, and which target of an artifact that makes the right one."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Set
from pathlib import Path
from typing import TypeVar

from inferflux.codegen.artifact.compiled import CompiledTarget
from inferflux.codegen.artifact.errors import UnsupportedMachine
from inferflux.codegen.artifact.manifest import TargetRecord
from inferflux.codegen.artifact.reader import Artifact

Target = TypeVar("Target", CompiledTarget, TargetRecord)

_CPUINFO = Path("/proc/cpuinfo")
_FEATURE_KEYS = ("flags", "Features")  # x86, ARM
_SPELLINGS = {"arm64": "aarch64", "AMD64": "x86_64"}  # macOS's, Windows'
_IMPLIED = {"aarch64": frozenset({"fp", "asimd"})}


def machine_features(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """This machine's name ("x86_64", "aarch64") and its features, as /proc/cpuinfo spells them.

    Where there is no such file, the features are those that the machine's name implies.
    """
    machine = _SPELLINGS.get(platform.machine(), platform.machine())
    listed = _listed_features(cpuinfo.read_text()) if cpuinfo.exists() else frozenset()
    return listed | {machine} | _IMPLIED.get(machine, frozenset())


def require_target(artifact: Artifact, name: str | None, features: Set[str]) -> CompiledTarget:
    """The target called ``name``, or without a name the first that a machine so equipped runs."""
    return choose(artifact.path, artifact.model.targets, name, features)


def choose(
    path: Path, targets: Mapping[str, Target], name: str | None, features: Set[str]
) -> Target:
    """As ``require_target``, of what the artifact at ``path`` lists, best first."""
    if name is None:
        return _first_runnable(path, targets, features)
    if name not in targets:
        raise UnsupportedMachine(
            f"{path}: no target {name}; it was compiled for {', '.join(targets)}"
        )
    if obstacle := _obstacle(targets[name], features):
        raise UnsupportedMachine(f"{path}: target {name} {obstacle}; choose or compile another")
    return targets[name]


def _first_runnable(path: Path, targets: Mapping[str, Target], features: Set[str]) -> Target:
    reasons = []
    for target in targets.values():
        obstacle = _obstacle(target, features)
        if obstacle is None:
            return target
        reasons.append(f"{target.name} {obstacle}")
    raise UnsupportedMachine(
        f"{path}: no target runs here: {'; '.join(reasons)}; compile it for cpu:portable"
    )


def _obstacle(target: CompiledTarget | TargetRecord, features: Set[str]) -> str | None:
    """What keeps a machine so equipped from running ``target``; None if nothing does."""
    if features.isdisjoint(target.objects):
        return f"is code for {', '.join(target.objects)}, which this machine is not"
    missing = [feature for feature in target.features if feature not in features]
    return f"needs {', '.join(missing)}, which this machine lacks" if missing else None


def _listed_features(cpuinfo: str) -> frozenset[str]:
    """What every processor has: a thread may run on any of them."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    processors = [frozenset(text.split()) for key, _, text in lines if key.strip() in _FEATURE_KEYS]
    return frozenset.intersection(*processors) if processors else frozenset()

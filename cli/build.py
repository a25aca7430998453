"""From what a person typed to an artifact on disk: resolved, compiled on first use, kept by key."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from inferflux.cli import environment, store
from inferflux.cli.artifact_cache import Slot
from inferflux.cli.lock import exclusive
from inferflux.cli.model_argument import ARTIFACT_SUFFIX, is_artifact, served_name
from inferflux.cli.model_files import model_digest
from inferflux.cli.toolchain import toolchain
from inferflux.codegen.keys import cache_key
from inferflux.errors import InvalidArgument

if TYPE_CHECKING:
    from inferflux.ir.frontend import ModelSource


class Report(Protocol):
    """Who hears how a build goes: a progress bar, a log, a test."""

    def stage(self, name: str, fraction: float) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """A report that nobody reads."""

    def stage(self, name: str, fraction: float) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Built:
    """An artifact on disk and its digest."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the user chose about a build; no targets means the best this machine can run."""

    targets: tuple[str, ...] = ()
    numerics: str = "default"
    dump_ir: Path | None = None
    tuned_for: str | None = None  # a device, or a file of records
    kv_dtype: str = "f16"
    quantise: str = ""  # a type to give the matrices; empty for those of the file


def artifact_for(model: str, options: BuildOptions, report: Report) -> Path:
    """The artifact of a model name or path: the path itself, from the cache, or built now."""
    if is_artifact(model):
        if options.quantise:
            raise InvalidArgument(f"{model} is compiled already; name a model file to quantise")
        return Path(model)
    source = store.resolve(model, report)
    options = replace(options, targets=resolve_targets(options))
    slot = _slot(source, options)
    if slot.artifact.exists():
        return slot.artifact
    waiting = f"another process is compiling {source.name}; waiting for it"
    with exclusive(slot.lock, lambda: report.note(waiting)):
        if not slot.artifact.exists():  # another process may have built it while this one waited
            report.note(_why(source, slot.explain_miss()))
            _compile(source, slot.artifact, options, report)
            slot.record()
    return slot.artifact


def compile_to(model: str, output: Path | None, options: BuildOptions, report: Report) -> Built:
    """Compile a model name or path into ``output``; if none is named, into the current folder."""
    if is_artifact(model):
        raise InvalidArgument(f"{model} is compiled already; name a model file to compile")
    source = store.resolve(model, report)
    options = replace(options, targets=resolve_targets(options))
    return _compile(source, output or Path(f"{_name(source)}{ARTIFACT_SUFFIX}"), options, report)


def resolve_targets(options: BuildOptions) -> tuple[str, ...]:
    """The targets to build for: known ones only, each once, best first."""
    from inferflux.codegen.targets import TARGETS

    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        raise InvalidArgument(f"target {unknown[0]!r} is not known; known: {', '.join(TARGETS)}")
    return tuple(name for name in TARGETS if name in options.targets) or (best_target(),)


def best_target() -> str:
    """The best target that this machine can run."""
    from inferflux.codegen.artifact import machine_features
    from inferflux.codegen.targets import TARGETS

    here = machine_features()
    for name, target in TARGETS.items():
        if here.issuperset(target.features) and not here.isdisjoint(target.machines):
            return name
    raise InvalidArgument(f"no target runs on this machine; known: {', '.join(TARGETS)}")


def _slot(source: Path, options: BuildOptions) -> Slot:
    cache = environment.cache_dir()
    digest = model_digest(source, cache / "digests")
    key = cache_key(
        digest,
        options.targets,
        options.numerics,
        toolchain(),
        _tuning(options),
        options.kv_dtype,
        options.quantise,
    )
    return Slot(cache / "artifacts" / _name(source), key)


def _name(source: Path) -> str:
    return served_name(str(source))


def _tuning(options: BuildOptions) -> str:
    """The digest of the records asked for; those that ship are part of the toolchain."""
    if options.tuned_for is None:
        return ""
    from inferflux.cli.tuning_files import tuning_for

    return tuning_for(options.tuned_for, options.targets).digest


def _compile(source: Path, output: Path, options: BuildOptions, report: Report) -> Built:
    from inferflux import codegen
    from inferflux.cli.conversions import warnings
    from inferflux.cli.tuning_files import tuning_for
    from inferflux.codegen import artifact

    _require_writable(output)
    tuning = tuning_for(options.tuned_for, options.targets)
    compiled = codegen.compile(
        _open(source, options.quantise, report),
        targets=options.targets,
        numerics=options.numerics,
        dump_ir=options.dump_ir,
        progress=report.stage,
        tuning=tuning,
        kv_dtype=options.kv_dtype,
    )
    for line in warnings(compiled.facts):
        report.note(line)
    output.parent.mkdir(parents=True, exist_ok=True)
    return Built(output, artifact.save(compiled, output))


def _open(path: Path, quantise: str, report: Report) -> ModelSource:
    from inferflux.cli.conversions import stay_warnings
    from inferflux.ir import frontend
    from inferflux.ir.frontend.quantising import QUANTISERS, quantised

    source = frontend.open(path)
    if not quantise:
        return source
    if quantise not in QUANTISERS:
        known = ", ".join(QUANTISERS)
        raise InvalidArgument(f"matrices cannot be quantised to {quantise!r}, only to {known}")
    for line in stay_warnings(source, QUANTISERS[quantise]):
        report.note(line)
    return quantised(source, QUANTISERS[quantise])


def _require_writable(output: Path) -> None:
    """Say that the result cannot be kept before the work is done, not after it."""
    if output.is_dir():
        raise InvalidArgument(f"{output} is a folder; name the file to write")
    folder = next(parent for parent in output.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise InvalidArgument(f"{output}: {folder} may not be written; choose another place")


def _why(source: Path, difference: str | None) -> str:
    """What the user hears before a wait."""
    if difference is None:
        return f"compiling {source.name}; the result is kept"
    return f"compiling {source.name} again: {difference}"

"""What serving reads of an artifact, and no more of it: a start waits for every byte."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from inferflux.codegen.artifact.compiled import (
    Bytes,
    CompiledTarget,
    ModelFacts,
    TokenizerFacts,
)
from inferflux.codegen.artifact.machine import choose
from inferflux.codegen.artifact.manifest import TargetRecord
from inferflux.codegen.artifact.reader import map_weights, read_target, read_tokenizer
from inferflux.codegen.artifact.sealed import open_sealed


@dataclass(frozen=True, slots=True)
class ServedText:
    """An artifact as a server's doors need it."""

    digest: str
    facts: ModelFacts
    tokenizer: TokenizerFacts


@dataclass(frozen=True, slots=True)
class ServedTarget:
    """An artifact as an engine needs it: of one target, what this machine runs."""

    digest: str
    facts: ModelFacts
    target: CompiledTarget  # its objects are this machine's alone, its sources are left out
    weights: Bytes = field(repr=False)


def load_text(path: Path | str) -> ServedText:
    """The facts and the tokenizer of the artifact at ``path``."""
    with open_sealed(Path(path)) as file:
        return ServedText(file.digest, file.manifest.model, read_tokenizer(file))


def load_target(
    path: Path | str,
    name: str | None,
    features: Set[str],
    record_dir: Path | None = None,
) -> ServedTarget:
    """The target called ``name``, or the first that a machine so equipped runs, ready to run.

    Weights are mapped; with ``record_dir``, those this machine has verified are not digested again.
    """
    with open_sealed(Path(path)) as file:
        targets = {target.name: target for target in file.manifest.targets}
        chosen = choose(Path(path), targets, name, features)
        weights = map_weights(file, record_dir)
        target = read_target(file, _for_machine(chosen, features))
        return ServedTarget(file.digest, file.manifest.model, target, weights[target.weights])


def _for_machine(record: TargetRecord, features: Set[str]) -> TargetRecord:
    objects = {machine: parts for machine, parts in record.objects.items() if machine in features}
    return replace(record, objects=objects, sources={})

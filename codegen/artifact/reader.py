"""Reading an artifact back into a CompiledModel, its weights mapped where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inferflux.codegen.artifact import record as records
from inferflux.codegen.artifact.canonical import parse
from inferflux.codegen.artifact.compiled import (
    Bytes,
    CompiledModel,
    CompiledTarget,
    TokenizerFacts,
)
from inferflux.codegen.artifact.errors import ArtifactError
from inferflux.codegen.artifact.manifest import WEIGHTS_PREFIX, TargetRecord
from inferflux.codegen.artifact.schema import decode
from inferflux.codegen.artifact.sealed import SealedFile, open_sealed


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled model and the file it came from."""

    path: Path
    digest: str
    model: CompiledModel


def load(path: Path | str, record_dir: Path | None = None) -> Artifact:
    """The artifact at ``path``, verified whole, its weights mapped and not copied.

    With ``record_dir``, weights this machine has verified before are not digested again for as
    long as their file stays untouched.
    """
    with open_sealed(Path(path)) as file:
        return _artifact(Path(path), file, map_weights(file, record_dir))


def peek(path: Path | str) -> Artifact:
    """The artifact at ``path`` without its weights, which are neither mapped nor verified."""
    with open_sealed(Path(path)) as file:
        return _artifact(Path(path), file, {})


def _artifact(path: Path, file: SealedFile, weights: Mapping[str, Bytes]) -> Artifact:
    manifest = file.manifest
    model = CompiledModel(
        facts=manifest.model,
        tokenizer=read_tokenizer(file),
        graph={target.name: _text(file, target.graph) for target in manifest.targets},
        targets={target.name: read_target(file, target) for target in manifest.targets},
        weights=weights,
    )
    return Artifact(path, file.digest, model)


def map_weights(file: SealedFile, record_dir: Path | None) -> dict[str, Bytes]:
    """Every segment by name, verified now or, as a record says, before."""
    parts = sorted({target.weights for target in file.manifest.targets})
    if record_dir is None:
        file.verify(parts)
    elif not records.is_verified(record_dir, file.digest, file.identity):
        file.verify(parts)
        records.remember(record_dir, file.digest, file.identity)
    return {_segment(part): file.map(part) for part in parts}


def read_tokenizer(file: SealedFile) -> TokenizerFacts:
    """The tokenizer's facts, verified."""
    part = file.manifest.tokenizer
    return decode(TokenizerFacts, parse(file.read(part), part), part)


def read_target(file: SealedFile, record: TargetRecord) -> CompiledTarget:
    """A target with all parts that its record lists, verified."""
    return CompiledTarget(
        name=record.name,
        numerics=record.numerics,
        target_key=record.target_key,
        features=record.features,
        objects={
            machine: tuple(map(file.read, parts)) for machine, parts in record.objects.items()
        },
        sources={source: _text(file, part) for source, part in record.sources.items()},
        kernel_keys=record.kernel_keys,
        weights=_segment(record.weights),
        kv_groups=record.kv_groups,
        step=record.step,
    )


def _segment(part: str) -> str:
    return part.removeprefix(WEIGHTS_PREFIX)


def _text(file: SealedFile, name: str) -> str:
    try:
        return file.read(name).decode()
    except UnicodeDecodeError as error:
        raise ArtifactError(f"part {name} is not UTF-8: {error}") from None

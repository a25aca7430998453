"""The manifest: what an artifact says of itself, with every part by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from inferflux.codegen.artifact.canonical import canonical_json, parse
from inferflux.codegen.artifact.compiled import CpuStep, KVGroup, ModelFacts
from inferflux.codegen.artifact.errors import ArtifactError
from inferflux.codegen.artifact.schema import decode, encode

WEIGHTS_PREFIX = "weights/"  # of a part's name; the segment's own name follows


@dataclass(frozen=True, slots=True)
class Part:
    """A run of bytes with a name.  Where it lies follows from its place in the list."""

    name: str
    kind: str  # "tokenizer", "graph", "kernel", "object" or "weights"
    length: int
    chunks: tuple[str, ...]  # sha256 of every 4 MiB, the last may be shorter


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """A CompiledTarget with the names of parts where that one has their contents."""

    name: str
    numerics: str
    target_key: str
    features: tuple[str, ...]
    graph: str
    objects: Mapping[str, tuple[str, ...]]  # machine -> parts, all of its code
    sources: Mapping[str, str]  # file name -> part
    kernel_keys: Mapping[str, str]
    weights: str
    kv_groups: tuple[KVGroup, ...]
    step: CpuStep


@dataclass(frozen=True, slots=True)
class Manifest:
    model: ModelFacts
    tokenizer: str  # the part's name
    parts: tuple[Part, ...]  # in the order of the file
    targets: tuple[TargetRecord, ...]  # the best first

    def to_bytes(self) -> bytes:
        return canonical_json(encode(self))


def read_manifest(encoded: bytes) -> Manifest:
    """The manifest spelled by ``encoded``, well-typed but not yet checked for sense."""
    manifest = decode(Manifest, parse(encoded, "manifest"), "manifest")
    # One manifest, one spelling: else one artifact would have many digests.
    if manifest.to_bytes() != encoded:
        raise ArtifactError("manifest is not in canonical form")
    return manifest


def artifact_digest(manifest: bytes) -> str:
    """The artifact's identity, given its canonical manifest."""
    return hashlib.sha256(manifest).hexdigest()

"""Writing a CompiledModel to its file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferflux.codegen.artifact.atomic import replacing
from inferflux.codegen.artifact.canonical import canonical_json
from inferflux.codegen.artifact.checks import check
from inferflux.codegen.artifact.chunks import chunk_digests
from inferflux.codegen.artifact.compiled import CompiledModel, CompiledTarget
from inferflux.codegen.artifact.layout import Header, place
from inferflux.codegen.artifact.manifest import (
    WEIGHTS_PREFIX,
    Manifest,
    Part,
    TargetRecord,
    artifact_digest,
    read_manifest,
)
from inferflux.codegen.artifact.schema import encode

TOKENIZER = "tokenizer"


@dataclass(frozen=True, slots=True)
class _Content:
    name: str
    kind: str
    view: memoryview

    def part(self) -> Part:
        return Part(self.name, self.kind, len(self.view), chunk_digests(self.view))


def save(model: CompiledModel, path: Path | str) -> str:
    """Write ``model`` to ``path``, whole or not at all.  Gives the artifact's digest."""
    contents = tuple(_contents(model))
    manifest = _manifest(model, tuple(content.part() for content in contents))
    encoded = manifest.to_bytes()
    check(read_manifest(encoded))  # what is written can be read
    header = Header(len(encoded), hashlib.sha256(encoded).digest())
    with replacing(Path(path)) as file:
        file.write(header.pack() + encoded)
        for placed, content in zip(place(manifest.parts, len(encoded)), contents, strict=True):
            file.write(bytes(placed.padding))
            file.write(content.view)
    return artifact_digest(encoded)


def _contents(model: CompiledModel) -> Iterator[_Content]:
    """Every part, weights last: all before them is read together when the artifact is opened."""
    yield _Content(TOKENIZER, "tokenizer", memoryview(canonical_json(encode(model.tokenizer))))
    for name, target in model.targets.items():
        assert name == target.name, f"target {target.name} is listed as {name}"
        yield _Content(_graph(name), "graph", memoryview(model.graph[name].encode()))
        for file, text in sorted(target.sources.items()):
            yield _Content(_kernel(name, file), "kernel", memoryview(text.encode()))
        for machine, codes in sorted(target.objects.items()):
            for index, code in enumerate(codes):
                yield _Content(_object(name, machine, index), "object", memoryview(code))
    for segment in sorted({target.weights for target in model.targets.values()}):
        yield _Content(_segment(segment), "weights", model.weights[segment].data)


def _manifest(model: CompiledModel, parts: tuple[Part, ...]) -> Manifest:
    targets = tuple(map(_record, model.targets.values()))
    return Manifest(model.facts, TOKENIZER, parts, targets)


def _record(target: CompiledTarget) -> TargetRecord:
    return TargetRecord(
        name=target.name,
        numerics=target.numerics,
        target_key=target.target_key,
        features=target.features,
        graph=_graph(target.name),
        objects={
            machine: tuple(_object(target.name, machine, index) for index in range(len(codes)))
            for machine, codes in target.objects.items()
        },
        sources={file: _kernel(target.name, file) for file in target.sources},
        kernel_keys=target.kernel_keys,
        weights=_segment(target.weights),
        kv_groups=target.kv_groups,
        step=target.step,
    )


def _graph(target: str) -> str:
    return f"graph/{target}"


def _kernel(target: str, file: str) -> str:
    return f"kernel/{target}/{file}"


def _object(target: str, machine: str, index: int) -> str:
    return f"object/{target}/{machine}/{index}"


def _segment(name: str) -> str:
    return f"{WEIGHTS_PREFIX}{name}"

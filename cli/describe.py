"""Facts about a model file or an artifact, as plain values that print and serialise alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from inferflux.cli import store
from inferflux.cli.build import Silent
from inferflux.cli.conversions import rows
from inferflux.cli.cost import token_cost
from inferflux.cli.model_argument import is_artifact
from inferflux.codegen import artifact
from inferflux.codegen.artifact.compiled import CompiledTarget
from inferflux.errors import InvalidArgument
from inferflux.ir import frontend, passes
from inferflux.ir.frontend.source import ModelSource, SourceTensor
from inferflux.ir.graph import Graph

_LONGEST_TEXT = 60  # characters of a metadata value that are shown


class Description(Protocol):
    """What can be said of a model, compiled or not."""

    def facts(self, *, tensors: bool) -> dict[str, Any]: ...

    def graph(self, *, before: bool) -> str: ...


def describe(model: str) -> Description:
    """Open a model name, a model file or an artifact for inspection; weights are not touched."""
    if is_artifact(model):
        return ArtifactDescription(artifact.peek(Path(model)))
    source = frontend.open(store.resolve(model, Silent()))
    return ModelDescription(source, frontend.build(source))


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model file before it is compiled."""

    source: ModelSource
    imported: Graph

    def facts(self, *, tensors: bool) -> dict[str, Any]:
        listed = [_tensor(self.source, name) for name in self.source.tensors]
        return {
            "path": str(self.source.path),
            "architecture": self.source.architecture,
            "parameters": sum(int(np.prod(t.shape)) for t in self.source.tensors.values()),
            "nodes_as_imported": len(self.imported.nodes),
            "metadata": {key: _short(value) for key, value in self.source.metadata.items()},
            "types": _types(self.source),
            **({"tensors": listed} if tensors else {}),
            "cost": _cost(self.imported),
            "graph": self.graph(before=False),
        }

    def graph(self, *, before: bool) -> str:
        return str(self.imported if before else passes.run(self.imported, passes.PIPELINE))


@dataclass(frozen=True, slots=True)
class ArtifactDescription:
    """A compiled artifact."""

    artifact: artifact.Artifact

    def facts(self, *, tensors: bool) -> dict[str, Any]:
        model = self.artifact.model
        return {
            "path": str(self.artifact.path),
            "digest": f"sha256:{self.artifact.digest}",
            "name": model.facts.name,
            "architecture": model.facts.architecture,
            "context_length": model.facts.context_length,
            "source_digest": f"sha256:{model.facts.source_digest}",
            "types": [{"type": t, "tensors": n} for t, n in model.facts.source_types.items()],
            **({"quantised_to": model.facts.quantised_to} if model.facts.quantised_to else {}),
            **({"converted": rows(model.facts)} if model.facts.conversions else {}),
            "targets": [_target(target) for target in model.targets.values()],
            "graph": self.graph(before=False),
        }

    def graph(self, *, before: bool) -> str:
        if before:
            raise InvalidArgument(
                f"{self.artifact.path}: an artifact keeps the graph after the passes only; "
                "inspect the model file for the one before"
            )
        return "\n".join(f"// {name}\n{text}" for name, text in self.artifact.model.graph.items())


def _tensor(source: ModelSource, name: str) -> dict[str, Any]:
    tensor = source.tensors[name]
    return {
        "name": name,
        "type": tensor.origin.kind.lower(),
        "compiled_to": tensor.dtype.name,
        "shape": "x".join(map(str, tensor.shape)),
        "bytes": tensor.type.nbytes,
    }


def _types(source: ModelSource) -> list[dict[str, Any]]:
    """By the type in the file and the one that it becomes; bytes are of the latter."""
    count = Counter(_kinds(tensor) for tensor in source.tensors.values())
    size: Counter[tuple[str, str]] = Counter()
    for tensor in source.tensors.values():
        size[_kinds(tensor)] += tensor.type.nbytes
    return [
        {"type": kind, "compiled_to": dtype, "tensors": number, "bytes": size[kind, dtype]}
        for (kind, dtype), number in count.most_common()
    ]


def _kinds(tensor: SourceTensor) -> tuple[str, str]:
    return tensor.origin.kind.lower(), tensor.dtype.name


def _cost(graph: Graph) -> dict[str, int]:
    cost = token_cost(graph)
    return {
        "weight_bytes_per_token": cost.weight_bytes,
        "flops_per_token": cost.flops,
        "kv_bytes_per_token": cost.kv_bytes,
        "attention_flops_per_token_of_context": cost.attention_flops,
    }


def _target(target: CompiledTarget) -> dict[str, Any]:
    return {
        "target": target.name,
        "numerics": target.numerics,
        "kv_dtype": target.kv_groups[0].streams[0].dtype,
        "needs": " ".join(target.features) or "nothing",
        "objects": " ".join(target.objects),
        "kernels": len(target.kernel_keys),
        "kv_bytes_per_page": sum(group.page_bytes for group in target.kv_groups),
        "key": target.target_key[:16],
    }


def _short(value: object) -> object:
    """A metadata value for the eye: long lists by their length, long texts by their beginning."""
    if isinstance(value, np.ndarray | tuple):
        return f"{len(value)} values"
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:_LONGEST_TEXT]}… ({len(value)} characters)"
    return value

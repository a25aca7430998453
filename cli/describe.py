"""Facts about a model file or an artifact, as plain values that print and serialise alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from inferflux.cli import store
from inferflux.cli.build import Silent
from inferflux.cli.conversions import rows
from inferflux.cli.cost import TokenCost, token_cost
from inferflux.cli.model_argument import is_artifact
from inferflux.cli.prediction import predict
from inferflux.cli.tensor_types import type_rows
from inferflux.codegen import artifact
from inferflux.codegen.artifact.compiled import CompiledTarget
from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.errors import InferFluxError, InvalidArgument
from inferflux.ir import frontend, passes
from inferflux.ir.frontend import UnsupportedModel
from inferflux.ir.frontend.quantising import QUANTISERS, quantised
from inferflux.ir.frontend.source import ModelSource, SourceTensor

_LONGEST_TEXT = 60  # characters of a metadata value that are shown


class Description(Protocol):
    """What can be said of a model, compiled or not."""

    def facts(self, *, tensors: bool, measure: bool) -> dict[str, Any]: ...

    def graph(self, *, before: bool) -> str: ...

    @property
    def refusal(self) -> InferFluxError | None:
        """Why it cannot be compiled or run here, if it cannot."""


def describe(model: str, quantise: str | None = None) -> Description:
    """Open a model name, a model file or an artifact for inspection; weights are not touched.

    ``quantise``: the type that compiling would give the matrices of a model file.
    """
    if is_artifact(model):
        if quantise is not None:
            raise InvalidArgument(f"{model} is compiled already; name a model file to quantise")
        return ArtifactDescription(artifact.peek(Path(model)))
    source = frontend.open(store.resolve(model, Silent()))
    return ModelDescription(source if quantise is None else quantised(source, QUANTISERS[quantise]))


class ModelDescription:
    """A model file before it is compiled; of one that is refused, what can be said all the same."""

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self.refusal: InferFluxError | None = None

    def facts(self, *, tensors: bool, measure: bool) -> dict[str, Any]:
        source = self._source
        every = source.tensors.values()
        return {
            "path": str(source.path),
            "architecture": source.architecture,
            "parameters": sum(math.prod(tensor.shape) for tensor in every),
            "types": type_rows(every),
            **({"tensors": [_tensor(tensor) for tensor in every]} if tensors else {}),
            **self._computed(measure=measure),
            "metadata": {key: _short(value) for key, value in source.metadata.items()},
        }

    def graph(self, *, before: bool) -> str:
        imported = frontend.build(self._source)
        return str(imported if before else passes.run(imported, passes.PIPELINE))

    def _computed(self, *, measure: bool) -> dict[str, Any]:
        """What is known of a model that can be compiled; else why it cannot."""
        try:
            config, imported = frontend.config(self._source), frontend.build(self._source)
            cost = token_cost(imported)
            return {
                "context_length": config.context_length,
                "layers": config.num_layers,
                "nodes_as_imported": len(imported.nodes),
                **predict(self._source, cost.kv_bytes_by_group, measure=measure),
                "cost": _cost(cost),
                "graph": self.graph(before=False),
            }
        except (UnsupportedModel, UnsupportedOnTarget) as refusal:
            self.refusal = refusal
            return {"refused": str(refusal)}


@dataclass(frozen=True, slots=True)
class ArtifactDescription:
    """A compiled artifact."""

    artifact: artifact.Artifact

    @property
    def refusal(self) -> None:
        """An artifact that can be read was compiled."""

    def facts(self, *, tensors: bool, measure: bool) -> dict[str, Any]:
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


def _tensor(tensor: SourceTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "type": tensor.origin.kind.lower(),
        "compiled_to": tensor.dtype.name,
        "shape": "x".join(map(str, tensor.shape)),
        "bytes": tensor.type.nbytes,
    }


def _cost(cost: TokenCost) -> dict[str, int]:
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

"""Experts whose matrices a directory stores one by one, or fused, as one weight for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.source import Bytes, ConvertedRows, SourceTensor, UnsupportedModel
from inferflux.ir.frontend.tensor_views import wrong_tensor
from inferflux.ir.frontend.views import Tensors
from inferflux.ir.graph import Array
from inferflux.ir.quantised import dequantise
from inferflux.ir.types import F32

PROJECTIONS: Mapping[str, str] = {
    "gate_proj": "ffn_gate_exps",
    "up_proj": "ffn_up_exps",
    "down_proj": "ffn_down_exps",
}


@dataclass(frozen=True, slots=True)
class StackedExperts:
    """``layers.3.mlp.experts.7.up_proj.weight``, for every expert, is ``blk.3.ffn_up_exps``."""

    block: str  # what a layer calls its experts: "mlp.experts"
    projections: Mapping[str, str] = field(default_factory=lambda: PROJECTIONS)

    def __call__(self, tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
        modules = "|".join(self.projections)
        pattern = re.compile(rf".+\.(\d+)\.{re.escape(self.block)}\.(\d+)\.({modules})\.weight")
        found: dict[str, SourceTensor] = {}
        stacks: dict[str, dict[int, SourceTensor]] = {}
        for name, tensor in tensors.items():
            if match := pattern.fullmatch(name):
                stacked = f"blk.{match[1]}.{self.projections[match[3]]}.weight"
                stacks.setdefault(stacked, {})[int(match[2])] = tensor
            else:
                found[name] = tensor
        return found | {name: _stacked(name, experts) for name, experts in stacks.items()}


@dataclass(frozen=True, slots=True)
class FusedExperts:
    """A tensor of all experts whose rows are several weights, or one of another name.

    ``parts``: which rows each takes, by its name in a layer; they are given [E, N, ...].
    """

    whole: str
    parts: Mapping[str, Callable[[Array], Array]]

    def __call__(self, tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
        found: dict[str, SourceTensor] = {}
        for name, tensor in tensors.items():
            if name.endswith(end := f".{self.whole}.weight"):
                layer = name.removesuffix(end)
                parts = {f"{layer}.{part}": take for part, take in self.parts.items()}
                found |= {part: _taken(tensor, part, take) for part, take in parts.items()}
            else:
                found[name] = tensor
        return found


def _stacked(name: str, experts: Mapping[int, SourceTensor]) -> SourceTensor:
    """One after the other; all are of one type, and none is missing."""
    first = experts[min(experts)]
    for number, (index, tensor) in enumerate(sorted(experts.items())):
        if index != number:
            raise wrong_tensor(tensor, f"is expert {index}, and there is no {number}")
        if tensor.type != first.type:
            raise wrong_tensor(
                tensor, f"is {tensor.type}, but {first.origin.name!r} is {first.type}"
            )
    every = [experts[index] for index in range(len(experts))]

    def read() -> Bytes:
        return np.concatenate([tensor.raw for tensor in every])

    def convert() -> Iterator[ConvertedRows]:
        for tensor in every:
            assert tensor.convert is not None, "all of one type are converted or none is"
            yield from tensor.convert()

    converts = any(tensor.convert is not None for tensor in every)
    shape = (len(every), *first.shape)
    return replace(first, name=name, shape=shape, read=read, convert=convert if converts else None)


def _taken(tensor: SourceTensor, name: str, take: Callable[[Array], Array]) -> SourceTensor:
    """Some rows of every expert; a number for each row is widened to float32."""
    if tensor.convert is not None or len(tensor.shape) < 2:
        problem = f"is {list(tensor.shape)} of {tensor.origin.kind}, not taken apart by rows"
        raise wrong_tensor(tensor, problem, UnsupportedModel)
    experts = tensor.shape[:2]
    shape = (*take(np.broadcast_to(np.uint8(0), experts)).shape, *tensor.shape[2:])

    def read() -> Bytes:
        return np.ascontiguousarray(take(tensor.raw.reshape(*experts, -1))).reshape(-1)

    part = replace(tensor, name=name, shape=shape, read=read)
    if len(shape) > 2:
        return part

    def widened() -> Bytes:
        return dequantise(read(), tensor.dtype, shape).reshape(-1).view(np.uint8)

    return replace(part, dtype=F32, read=widened)

"""What a format stores otherwise than the graph takes it: fused, transposed, less one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.source import ModelFileError, SourceTensor
from inferflux.ir.frontend.tensor_views import joined, rows_of
from inferflux.ir.graph import Array

Tensors = Mapping[str, SourceTensor]  # by the graph's names
View = Callable[[Tensors, ModelConfig], dict[str, SourceTensor]]

_NAME = re.compile(r"(?P<layer>(?:blk\.\d+\.)?)(?P<module>.+)\.(?P<suffix>weight|bias)")


@dataclass(frozen=True, slots=True)
class Split:
    """Modules whose rows are one tensor, those of the first before those of the next.

    ``by_head``: first those of the first KV head: the queries that read it, its key, its value.
    Where ``whole`` is one of the modules too, it is told apart by its rows.
    """

    whole: str
    modules: tuple[str, ...]
    by_head: bool = False

    def __call__(self, tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
        found: dict[str, SourceTensor] = {}
        for name, tensor in tensors.items():
            match = _NAME.fullmatch(name)
            if match and match["module"] == self.whole and self._is_whole(tensor, config):
                for module, rows in self._rows(tensor, config):
                    part = f"{match['layer']}{module}.{match['suffix']}"
                    found[part] = rows_of(tensor, part, rows)
            else:
                found[name] = tensor
        return found

    def _is_whole(self, tensor: SourceTensor, config: ModelConfig) -> bool:
        """A tensor without rows is none: who takes it by its name refuses it."""
        rows = num_rows(self.whole, config) if self.whole in self.modules else None
        return bool(tensor.shape) and tensor.shape[0] != rows

    def _rows(self, tensor: SourceTensor, config: ModelConfig) -> Iterator[tuple[str, Array]]:
        counts = [num_rows(module, config) for module in self.modules]
        if tensor.shape[0] != sum(counts):
            problem = f"is {list(tensor.shape)}, the metadata asks for {sum(counts)} rows"
            origin = tensor.origin
            field = f"tensor {origin.name!r}.shape"
            raise ModelFileError(origin.path, field, origin.entry_offset, problem)
        turns = config.num_kv_heads if self.by_head else 1
        every = np.arange(sum(counts)).reshape(turns, -1)
        ends = np.cumsum([count // turns for count in counts])
        for module, rows in zip(self.modules, np.split(every, ends[:-1], axis=1), strict=True):
            yield module, rows.reshape(-1)


@dataclass(frozen=True, slots=True)
class Each:
    """The weights of some modules in another form, each by itself."""

    form: Callable[[SourceTensor], SourceTensor]
    modules: tuple[str, ...]

    def __call__(self, tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
        def is_one(name: str) -> bool:
            match = _NAME.fullmatch(name)
            return bool(match and match["suffix"] == "weight" and match["module"] in self.modules)

        return {name: self.form(t) if is_one(name) else t for name, t in tensors.items()}


@dataclass(frozen=True, slots=True)
class Joined:
    """Vectors of a layer that are tensors of their own, numbered from 0 on, as one.

    ``numbered`` is what their names have between the layer and the number.
    """

    numbered: str
    module: str

    def __call__(self, tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
        pattern = re.compile(rf".+\.(\d+)\.{re.escape(self.numbered)}\.(\d+)\.weight")
        parts: dict[str, dict[int, SourceTensor]] = {}
        found: dict[str, SourceTensor] = {}
        for name, tensor in tensors.items():
            if match := pattern.fullmatch(name):
                whole = f"blk.{match[1]}.{self.module}.weight"
                parts.setdefault(whole, {})[int(match[2])] = tensor
            else:
                found[name] = tensor
        for whole, numbered in parts.items():
            found[whole] = joined(whole, [numbered[index] for index in sorted(numbered)])
        return found


def num_rows(module: str, config: ModelConfig) -> int:
    """How many rows the weight of a module that may be fused has."""
    match module:
        case "attn_q":
            return config.num_query_heads * config.head_dim
        case "attn_k" | "attn_v":
            return config.num_kv_heads * config.head_dim
        case _:
            assert module in ("ffn_gate", "ffn_up"), f"{module} is part of no other"
            return config.intermediate_size


FUSED_QKV = Split("attn_qkv", ("attn_q", "attn_k", "attn_v"))
QKV_BY_HEAD = Split("attn_qkv", ("attn_q", "attn_k", "attn_v"), by_head=True)
FUSED_GATE_UP = Split("ffn_up", ("ffn_gate", "ffn_up"))  # as a GGUF names it

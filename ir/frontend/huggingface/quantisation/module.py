"""A linear layer of a file: the tensors that share its name, each checked when it is taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from inferflux.ir.frontend.safetensors import StoredTensor
from inferflux.ir.frontend.source import ModelFileError, Origin
from inferflux.ir.graph import Array
from inferflux.ir.quantised import dequantise
from inferflux.ir.types import BF16, F16, F32

_FLOATS = {"F32": F32, "F16": F16, "BF16": BF16}
_INTEGERS = {"I8": "<i1", "U8": "<u1", "I32": "<i4", "I64": "<i8"}
_EXPONENTS = "F8_E8M0"  # bytes e that stand for 2 ** (e - 127)
_OF_STACKS = ("blocks", "scales")  # "experts.down_proj_blocks": of all experts, and no module's


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """``parts`` are its tensors by what follows its name."""

    name: str  # "model.layers.0.self_attn.q_proj"
    parts: Mapping[str, StoredTensor] = field(repr=False)

    def integers(self, suffix: str, kinds: Collection[str], rank: int) -> Array:
        """A part of whole numbers, in its shape: a view of the mapped file."""
        part = self._part(suffix, kinds, rank)
        return part.raw.view(_INTEGERS[part.kind]).reshape(part.shape)

    def floats(self, suffix: str) -> Array:
        """A part of floats of any width, or of powers of two, as float32 in its shape."""
        part = self._part(suffix, (*_FLOATS, _EXPONENTS), None)
        if part.kind == _EXPONENTS:
            return np.ldexp(np.float32(1), part.raw.astype(np.int32) - 127).reshape(part.shape)
        return dequantise(part.raw, _FLOATS[part.kind], part.shape)

    def group_indices(self, suffix: str, width: int, count: int) -> Array:
        """A part that says of each column which of ``count`` groups it is in.  (K,)"""
        groups = self.integers(suffix, ("I32",), 1)
        self.require_shape(suffix, groups.shape, (width,))
        if groups.min() < 0 or groups.max() >= count:
            problem = f"spans {groups.min()}..{groups.max()}, of {count} groups"
            raise self.wrong(suffix, problem)
        return groups

    def origin(self, suffix: str, kind: str) -> Origin:
        """Where the part with the numbers stands; ``kind`` is what the whole is."""
        part = self.parts[suffix]
        return Origin(part.path, part.name, kind, part.offset, part.entry_offset)

    def wrong(self, suffix: str, problem: str) -> ModelFileError:
        part = self.parts[suffix]
        field = f"tensor {part.name!r}"
        return ModelFileError(part.path, field, part.entry_offset, problem)

    def require_shape(self, suffix: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        if found != wanted:
            problem = f"is {list(found)}, the other parts ask for {list(wanted)}"
            raise self.wrong(suffix, problem)

    def _part(self, suffix: str, kinds: Collection[str], rank: int | None) -> StoredTensor:
        part = self.parts.get(suffix)
        if part is None:
            beside_suffix, beside = next(iter(self.parts.items()))
            field = f"tensor {beside.name.removesuffix(beside_suffix) + suffix!r}"
            problem = f"is missing, and {beside.name!r} cannot be unpacked without it"
            raise ModelFileError(beside.path, field, None, problem)
        if part.kind not in kinds:
            raise self.wrong(suffix, f"is of {part.kind}, must be of {' or '.join(kinds)}")
        if (rank is not None and len(part.shape) != rank) or 0 in part.shape:
            raise self.wrong(suffix, f"is {list(part.shape)}, must have {rank} dimensions above 0")
        return part


def modules(stored: Mapping[str, StoredTensor]) -> Iterator[Module]:
    """The tensors of all files by module, in order."""
    grouped: defaultdict[str, dict[str, StoredTensor]] = defaultdict(dict)
    for name, tensor in stored.items():
        module, suffix = _split(name)
        grouped[module][suffix] = tensor
    return (Module(name, parts) for name, parts in grouped.items())


def _split(name: str) -> tuple[str, str]:
    """The name of a layer, and what follows it."""
    layer, _, suffix = name.rpartition("_")
    if suffix not in _OF_STACKS:
        layer, _, suffix = name.rpartition(".")
    return layer, suffix

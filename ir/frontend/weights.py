"""The weights of a graph under construction: each taken once, of the shape expected of it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from inferflux.ir.frontend.source import ModelFileError, ModelSource, SourceTensor, UnsupportedModel
from inferflux.ir.graph import Value
from inferflux.ir.types import F32


class Weights:
    """Hands out tensors as graph weights, and knows in the end which ones nobody asked for."""

    __slots__ = ("_read", "_source", "_taken")

    def __init__(self, source: ModelSource, read: Collection[str] = ()) -> None:
        self._source = source
        self._taken: dict[str, Value] = {}
        self._read = set(read)  # their numbers are in the graph, they are no weights

    def matrix(self, name: str, rows: int, columns: int) -> Value:
        """``[rows, columns]`` of any supported type.  Asked for twice, it is one weight."""
        return self._take(name, (rows, columns))

    def matrices(self, name: str, count: int, rows: int, columns: int) -> Value:
        """``[count, rows, columns]``: a matrix for each expert."""
        return self._take(name, (count, rows, columns))

    def table(self, name: str, rows: int, columns: int) -> Value:
        """``f32[rows, columns]``: a vector for each expert."""
        tensor = self._find(name, (rows, columns))
        if tensor.dtype != F32:
            raise self._unsupported(tensor, f"is {tensor.type}; vectors are read as f32 only")
        return self._take(name, (rows, columns))

    def vector(self, name: str, length: int) -> Value:
        """``f32[length]``."""
        self._find_vector(name, length)
        return self._take(name, (length,))

    def factors(self, name: str, length: int) -> tuple[float, ...]:
        """The numbers of an ``f32[length]``, all of them finite and above 0."""
        tensor = self._find_vector(name, length)
        numbers = tensor.raw.view("<f4")
        if not (np.isfinite(numbers) & (numbers > 0)).all():
            problem = f"spans {numbers.min()}..{numbers.max()}, all must be above 0 and finite"
            origin = tensor.origin
            raise ModelFileError(origin.path, f"tensor {origin.name!r}", origin.offset, problem)
        return tuple(numbers.tolist())

    def finish(self) -> tuple[Value, ...]:
        """All that were taken, in the order they were; refuses a file that holds more."""
        for tensor in self._source.tensors.values():
            is_used = tensor.name in self._taken or tensor.name in self._read
            if not (is_used or _adds_nothing(tensor)):
                raise self._unsupported(tensor, self._surplus(tensor))
        return tuple(self._taken.values())

    def _take(self, name: str, shape: tuple[int, ...]) -> Value:
        tensor = self._find(name, shape)
        if name not in self._taken:
            self._taken[name] = Value(tensor.type, hint=_hint(name), sources=(name,))
        return self._taken[name]

    def _find_vector(self, name: str, length: int) -> SourceTensor:
        tensor = self._find(name, (length,))
        if tensor.dtype != F32:
            raise self._unsupported(tensor, f"is {tensor.type}; vectors are read as f32 only")
        return tensor

    def _find(self, name: str, shape: tuple[int, ...]) -> SourceTensor:
        tensor = self._source.tensors.get(name)
        if tensor is None:
            problem = "is missing; the model cannot be built without it"
            field = f"tensor {self._source.name_in_file(name)!r}"
            raise ModelFileError(self._source.path, field, None, problem)
        if tensor.shape != shape:
            problem = f"is {list(tensor.shape)}, the metadata asks for {list(shape)}"
            origin = tensor.origin
            field = f"tensor {origin.name!r}.shape"
            raise ModelFileError(origin.path, field, origin.entry_offset, problem)
        return tensor

    def _surplus(self, tensor: SourceTensor) -> str:
        kind = " (a bias)" if tensor.name.endswith(".bias") else ""
        return f"has no use in a {self._source.architecture}{kind}, so leaving it out may be wrong"

    def _unsupported(self, tensor: SourceTensor, problem: str) -> UnsupportedModel:
        origin = tensor.origin
        field = f"tensor {origin.name!r}"
        return UnsupportedModel(origin.path, field, origin.entry_offset, problem)


def _adds_nothing(tensor: SourceTensor) -> bool:
    """A bias of zeros, which some quantisers write beside every layer."""
    return tensor.name.endswith(".bias") and not tensor.raw.any()


def _hint(name: str) -> str:
    """``blk.3.attn_q.weight`` is ``attn_q``, as in every layer: rolled layers share the name."""
    *_, kind, suffix = name.split(".")
    return f"{kind}.bias" if suffix == "bias" else kind

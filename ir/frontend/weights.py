"""The weights of a graph under construction: each taken once, of the shape expected of it."""

from __future__ import annotations

from inferflux.ir.frontend.source import ModelFileError, ModelSource, SourceTensor, UnsupportedModel
from inferflux.ir.graph import Value
from inferflux.ir.types import F32


class Weights:
    """Hands out tensors as graph weights, and knows in the end which ones nobody asked for."""

    __slots__ = ("_source", "_taken")

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._taken: dict[str, Value] = {}

    def matrix(self, name: str, rows: int, columns: int) -> Value:
        """``[rows, columns]`` of any supported type.  Asked for twice, it is one weight."""
        return self._take(name, (rows, columns))

    def vector(self, name: str, length: int) -> Value:
        """``f32[length]``."""
        tensor = self._find(name)
        if tensor.dtype != F32:
            raise self._unsupported(tensor, f"is {tensor.type}; vectors are read as f32 only")
        return self._take(name, (length,))

    def finish(self) -> tuple[Value, ...]:
        """All that were taken, in the order they were; refuses a file that holds more."""
        for tensor in self._source.tensors.values():
            if tensor.name not in self._taken:
                raise self._unsupported(tensor, self._surplus(tensor))
        return tuple(self._taken.values())

    def _take(self, name: str, shape: tuple[int, ...]) -> Value:
        tensor = self._find(name)
        if tensor.shape != shape:
            problem = f"is {list(tensor.shape)}, the metadata asks for {list(shape)}"
            raise ModelFileError(
                self._source.path, f"tensor {name!r}.shape", tensor.entry_offset, problem
            )
        if name not in self._taken:
            self._taken[name] = Value(tensor.type, hint=_hint(name), sources=(name,))
        return self._taken[name]

    def _find(self, name: str) -> SourceTensor:
        tensor = self._source.tensors.get(name)
        if tensor is None:
            problem = "is missing; the model cannot be built without it"
            raise ModelFileError(self._source.path, f"tensor {name!r}", None, problem)
        return tensor

    def _surplus(self, tensor: SourceTensor) -> str:
        kind = " (a bias)" if tensor.name.endswith(".bias") else ""
        return f"has no use in a {self._source.architecture}{kind}, so leaving it out may be wrong"

    def _unsupported(self, tensor: SourceTensor, problem: str) -> UnsupportedModel:
        field = f"tensor {tensor.name!r}"
        return UnsupportedModel(self._source.path, field, tensor.entry_offset, problem)


def _hint(name: str) -> str:
    """``blk.3.attn_q.weight`` is ``attn_q``, as in every layer: rolled layers share the name."""
    *_, kind, _suffix = name.split(".")
    return kind

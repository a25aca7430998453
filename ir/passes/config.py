"""What passes may depend on besides the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferflux.errors import InvalidArgument
from inferflux.ir.graph import Graph

NUMERICS = ("default", "float32")
ACTIVATIONS = ("i8x32", "bf16")
KV_DTYPES = ("f16", "int8")


@dataclass(frozen=True, slots=True)
class PassConfig:
    """What numbers a graph may be computed in.

    ``numerics``: ``default`` narrows activations for products, under ``float32`` all stays float32.
    ``activations``: what they are narrowed to.  ``kv_dtype``: what KV pages hold.
    """

    numerics: str = "default"
    activations: str = "i8x32"
    kv_dtype: str = "f16"

    def __post_init__(self) -> None:
        _require_known("numerics", self.numerics, NUMERICS)
        _require_known("activations", self.activations, ACTIVATIONS)
        _require_known("kv_dtype", self.kv_dtype, KV_DTYPES)
        if (self.numerics, self.kv_dtype) == ("float32", "int8"):
            raise InvalidArgument(
                "numerics 'float32' keeps KV pages in float32; leave kv_dtype 'int8' out"
            )


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidArgument(f"{name} {value!r} is not known; choose one of {', '.join(known)}")


Pass = Callable[[Graph, PassConfig], Graph]

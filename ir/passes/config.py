"""What passes may depend on besides the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferflux.errors import InvalidArgument
from inferflux.ir.graph import Graph

NUMERICS = ("default", "float32")
ACTIVATIONS = ("i8x32", "bf16")


@dataclass(frozen=True, slots=True)
class PassConfig:
    """What numbers a graph may be computed in.

    ``numerics``: ``default`` narrows activations for products, under ``float32`` all stays float32.
    ``activations``: what they are narrowed to.
    """

    numerics: str = "default"
    activations: str = "i8x32"

    def __post_init__(self) -> None:
        _require_known("numerics", self.numerics, NUMERICS)
        _require_known("activations", self.activations, ACTIVATIONS)


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidArgument(f"{name} {value!r} is not known; choose one of {', '.join(known)}")


Pass = Callable[[Graph, PassConfig], Graph]

"""What passes may depend on besides the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferflux.errors import InvalidArgument
from inferflux.ir.graph import Graph

NUMERICS = ("default", "float32")


@dataclass(frozen=True, slots=True)
class PassConfig:
    """``numerics``: ``default`` takes int8 dot products, ``float32`` none: all stays float32."""

    numerics: str = "default"

    def __post_init__(self) -> None:
        if self.numerics not in NUMERICS:
            raise InvalidArgument(
                f"numerics {self.numerics!r} is not known; choose one of {', '.join(NUMERICS)}"
            )


Pass = Callable[[Graph, PassConfig], Graph]

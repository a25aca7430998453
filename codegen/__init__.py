"""Graph to kernels to artifact: everything a build does after the front end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferflux.codegen.build import compile  # noqa: A004  the verb of the pipeline
    from inferflux.codegen.target import UnsupportedOnTarget

__all__ = ["UnsupportedOnTarget", "compile"]


def __getattr__(name: str) -> object:
    """Build-time names on first use: whoever serves imports only ``codegen.artifact``."""
    if name == "compile":
        from inferflux.codegen.build import compile  # noqa: A004

        return compile
    if name == "UnsupportedOnTarget":
        from inferflux.codegen.target import UnsupportedOnTarget

        return UnsupportedOnTarget
    raise AttributeError(f"module {__name__} has no attribute {name}")

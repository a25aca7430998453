"""Graph to kernels to artifact: everything a build does after the front end."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from inferflux.errors import MissingPackages

if TYPE_CHECKING:
    from inferflux.codegen.build import compile  # noqa: A004  the verb of the pipeline
    from inferflux.codegen.target import UnsupportedOnTarget

__all__ = ["UnsupportedOnTarget", "compile"]

_HOMES = {"compile": "inferflux.codegen.build", "UnsupportedOnTarget": "inferflux.codegen.target"}


def __getattr__(name: str) -> object:
    """Build-time names on first use: whoever serves imports only ``codegen.artifact``."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise MissingPackages("compiling", str(error.name), "cpu") from error

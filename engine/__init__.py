"""Runs artifacts: paged KV, continuous batching, one step at a time."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferflux.engine.config import EngineConfig
    from inferflux.engine.engine import Engine
    from inferflux.engine.loading import load

__all__ = ["Engine", "EngineConfig", "load"]

_HOMES = {
    "Engine": "inferflux.engine.engine",
    "EngineConfig": "inferflux.engine.config",
    "load": "inferflux.engine.loading",
}


def __getattr__(name: str) -> object:
    """Each on first use: who starts an engine in another process needs none of its code."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(_HOMES[name]), name)

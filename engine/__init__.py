"""Runs artifacts: paged KV, continuous batching, one step at a time."""

from inferflux.engine.config import EngineConfig
from inferflux.engine.engine import Engine
from inferflux.engine.load import load

__all__ = ["Engine", "EngineConfig", "load"]

"""Passes over graphs, and the pipeline that orders them."""

from inferflux.ir.passes.config import NUMERICS, PassConfig
from inferflux.ir.passes.pipeline import PIPELINE, Phase, run

__all__ = ["NUMERICS", "PIPELINE", "PassConfig", "Phase", "run"]

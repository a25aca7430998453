"""The blocks that decoders are composed of, and the graph that they make."""

from inferflux.ir.frontend.blocks.attention import Attention, GroupedHeads, HeadNorm
from inferflux.ir.frontend.blocks.decoder import DENSE, Parts, build
from inferflux.ir.frontend.blocks.experts import Experts, Routing, Shared
from inferflux.ir.frontend.blocks.feed_forward import (
    ByLayer,
    FeedForward,
    Gated,
    Plain,
    dense_first,
)
from inferflux.ir.frontend.blocks.latent import LatentHeads
from inferflux.ir.frontend.blocks.layer import Layer
from inferflux.ir.frontend.blocks.norm import LAYER_NORM, PLAIN_LAYER_NORM, RMS_NORM, Norm
from inferflux.ir.frontend.blocks.residual import (
    NORMS_AFTER,
    NORMS_AROUND,
    NORMS_BEFORE,
    PARALLEL,
    PARALLEL_TWO_NORMS,
    Residual,
)

__all__ = [
    "DENSE",
    "LAYER_NORM",
    "NORMS_AFTER",
    "NORMS_AROUND",
    "NORMS_BEFORE",
    "PARALLEL",
    "PARALLEL_TWO_NORMS",
    "PLAIN_LAYER_NORM",
    "RMS_NORM",
    "Attention",
    "ByLayer",
    "Experts",
    "FeedForward",
    "Gated",
    "GroupedHeads",
    "HeadNorm",
    "LatentHeads",
    "Layer",
    "Norm",
    "Parts",
    "Plain",
    "Residual",
    "Routing",
    "Shared",
    "build",
    "dense_first",
]

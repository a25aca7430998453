"""Norms of whole rows: by their mean square, or by their variance."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.weights import Weights
from inferflux.ir.graph import Value


@dataclass(frozen=True, slots=True)
class Norm:
    """``kind`` is "rms" or "layer"; only the latter may add a bias."""

    kind: str
    has_bias: bool = False

    def __call__(self, x: Value, module: str, config: ModelConfig, weights: Weights) -> Value:
        """Rows of x by the weight ``module``.weight.  f32[T, D] -> f32[T, D]"""
        width = x.type.shape[-1]
        assert isinstance(width, int), f"the width of {x.type} is static"
        weight = weights.vector(f"{module}.weight", width)
        normed: Value
        if self.kind == "rms":
            normed = ops.rms_norm(x, weight, eps=config.epsilon)
        else:
            bias = (weights.vector(f"{module}.bias", width),) if self.has_bias else ()
            normed = ops.layer_norm(x, weight, *bias, eps=config.epsilon)
        return normed


RMS_NORM = Norm("rms")
LAYER_NORM = Norm("layer", has_bias=True)
PLAIN_LAYER_NORM = Norm("layer")

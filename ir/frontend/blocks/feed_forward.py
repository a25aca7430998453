"""Feed-forward blocks: gated, plain, and another for some layers than for others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from inferflux.ir import ops
from inferflux.ir.frontend.blocks.layer import Layer
from inferflux.ir.graph import Value


class FeedForward(Protocol):
    """What a layer does to each token by itself."""

    def __call__(self, x: Value, layer: Layer) -> Value:
        """f32[T, D] -> f32[T, D], without the residual."""
        ...


@dataclass(frozen=True, slots=True)
class Gated:
    """down(activation(gate(x)) * up(x))"""

    activation: str = "silu"  # the name of an op
    has_bias: bool = False
    width: int | None = None  # F; None: the model's intermediate size

    def __call__(self, x: Value, layer: Layer) -> Value:
        width = self.width or layer.config.intermediate_size
        gate = layer.project(x, "ffn_gate", width, has_bias=self.has_bias)
        up = layer.project(x, "ffn_up", width, has_bias=self.has_bias)
        gated: Value = ops.multiply(_activate(self.activation, gate), up)
        return layer.project(gated, "ffn_down", layer.config.hidden_size, has_bias=self.has_bias)


@dataclass(frozen=True, slots=True)
class Plain:
    """down(activation(up(x)))"""

    activation: str
    has_bias: bool = True

    def __call__(self, x: Value, layer: Layer) -> Value:
        config = layer.config
        up = layer.project(x, "ffn_up", config.intermediate_size, has_bias=self.has_bias)
        active = _activate(self.activation, up)
        return layer.project(active, "ffn_down", config.hidden_size, has_bias=self.has_bias)


@dataclass(frozen=True, slots=True)
class ByLayer:
    """A block of its own for each layer, as where the first are dense and the others are not."""

    of_layer: tuple[FeedForward, ...]

    def __call__(self, x: Value, layer: Layer) -> Value:
        return self.of_layer[layer.number](x, layer)


def dense_first(
    num_dense: int, dense: FeedForward, others: FeedForward, num_layers: int
) -> FeedForward:
    """One block in the first layers, another in those behind them."""
    dense_layers = min(num_dense, num_layers)
    return ByLayer((*[dense] * dense_layers, *[others] * (num_layers - dense_layers)))


SWIGLU = Gated()


def _activate(name: str, x: Value) -> Value:
    active: Value = getattr(ops, name)(x)
    return active

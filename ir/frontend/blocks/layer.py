"""One layer under construction: its weights by name, and what all of its blocks read."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.frontend.blocks.step import StepInputs
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.weights import Weights
from inferflux.ir.graph import Value


@dataclass(frozen=True, slots=True)
class Layer:
    """What the blocks of a layer are built from."""

    number: int
    config: ModelConfig
    weights: Weights
    step: StepInputs
    rope: Value | None  # f32[S, R]; None: this layer does not know positions

    @property
    def index(self) -> int:
        """Its place in its KV group."""
        return self.config.place(self.number)[1]

    def name(self, module: str, suffix: str = "weight") -> str:
        return f"blk.{self.number}.{module}.{suffix}"

    def matrix(self, module: str, rows: int, columns: int) -> Value:
        return self.weights.matrix(self.name(module), rows, columns)

    def vector(self, module: str, length: int, suffix: str = "weight") -> Value:
        return self.weights.vector(self.name(module, suffix), length)

    def project(self, x: Value, module: str, rows: int, *, has_bias: bool = False) -> Value:
        """x @ weight.T, and its bias.  f32[T, K] -> f32[T, rows]"""
        columns = x.type.shape[-1]
        assert isinstance(columns, int), f"the width of {x.type} is static"
        product: Value = ops.linear(x, self.matrix(module, rows, columns))
        if not has_bias:
            return product
        biased: Value = ops.add_bias(product, self.vector(module, rows, "bias"))
        return biased

"""A mixture of experts: a router, the experts that it chooses, and one that all tokens share."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.frontend.blocks.layer import Layer
from inferflux.ir.graph import Value


@dataclass(frozen=True, slots=True)
class Routing:
    """How experts are chosen and weighed: attributes of ``route``."""

    scoring: str = "softmax"
    normalised: bool = True
    scale: float = 1.0
    has_choice_bias: bool = False  # added to scores for the choice alone
    num_groups: int = 1
    num_used_groups: int = 1
    group_best: int = 1


@dataclass(frozen=True, slots=True)
class Shared:
    """An expert for every token, beside those that are chosen; with ``has_gate`` by a gate."""

    width: int
    has_gate: bool = False

    def __call__(self, x: Value, layer: Layer) -> Value:
        gate = layer.project(x, "ffn_gate_shexp", self.width)
        up = layer.project(x, "ffn_up_shexp", self.width)
        inner = ops.multiply(ops.silu(gate), up)
        out = layer.project(inner, "ffn_down_shexp", layer.config.hidden_size)
        if self.has_gate:
            out = ops.gate_rows(out, layer.project(x, "ffn_gate_inp_shexp", 1))
        return out


@dataclass(frozen=True, slots=True)
class Experts:
    """The sum of a token's experts, by their shares; each is a gated feed-forward block."""

    num_experts: int  # E
    num_used: int  # U
    width: int  # F
    routing: Routing = Routing()
    activation: str = "silu"  # as ``expert_gate_up`` has it
    has_bias: bool = False  # on the router, and on every expert's projections
    shared: Shared | None = None

    def __call__(self, x: Value, layer: Layer) -> Value:
        hidden = layer.config.hidden_size
        chosen, shares = self._route(x, layer)
        order = ops.group_by_expert(chosen, num_experts=self.num_experts)
        gate, gate_bias = self._weight(layer, "ffn_gate_exps", self.width, hidden)
        up, up_bias = self._weight(layer, "ffn_up_exps", self.width, hidden)
        inner = ops.expert_gate_up(
            x, *order, gate, up, *gate_bias, *up_bias, activation=self.activation
        )
        down, down_bias = self._weight(layer, "ffn_down_exps", hidden, self.width)
        products = ops.expert_linear(inner, *order, down, *down_bias)
        out: Value = ops.combine(products, shares)
        return out if self.shared is None else ops.add(self.shared(x, layer), out)

    def _route(self, x: Value, layer: Layer) -> tuple[Value, Value]:
        logits = layer.project(x, "ffn_gate_inp", self.num_experts, has_bias=self.has_bias)
        how = self.routing
        bias: tuple[Value, ...] = ()
        if how.has_choice_bias:
            bias = (layer.vector("exp_probs_b", self.num_experts, "bias"),)
        chosen, shares = ops.route(
            logits,
            *bias,
            num_used=self.num_used,
            scoring=how.scoring,
            normalised=how.normalised,
            scale=how.scale,
            num_groups=how.num_groups,
            num_used_groups=how.num_used_groups,
            group_best=how.group_best,
        )
        return chosen, shares

    def _weight(
        self, layer: Layer, module: str, rows: int, columns: int
    ) -> tuple[Value, tuple[Value, ...]]:
        """Of all experts: [E, rows, columns], and their biases [E, rows] where they have any."""
        weights, name = layer.weights, layer.name
        weight = weights.matrices(name(module), self.num_experts, rows, columns)
        if not self.has_bias:
            return weight, ()
        return weight, (weights.table(name(module, "bias"), self.num_experts, rows),)

"""What a GGUF states of experts, by keys that all architectures share."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.blocks import Experts, Parts, Routing, Shared
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.form import Adapt
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.tensor_views import as_matrix
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import Each

EXPERT_KEYS = frozenset(
    {
        "expert_count",
        "expert_used_count",
        "expert_feed_forward_length",
        "expert_shared_feed_forward_length",
    }
)
SHARED_GATE = Each(as_matrix, ("ffn_gate_inp_shexp",))  # a vector, to files


def with_experts(
    routing: Routing, *, activation: str = "silu", has_bias: bool = False, is_shared: bool = False
) -> Adapt:
    """Feed-forward blocks are mixtures, where the file states experts; llama.cpp fixes how."""

    def adapt(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
        own = fields.own
        if not fields.whole(own("expert_count"), 0, MAX_SIZE, default=0):
            return config, parts
        count = fields.whole(own("expert_count"), 1, MAX_SIZE)
        experts = Experts(
            num_experts=count,
            num_used=fields.whole(own("expert_used_count"), 1, count),
            width=_width(fields, "expert_feed_forward_length", config),
            routing=routing,
            activation=activation,
            has_bias=has_bias,
            shared=_shared(fields, config) if is_shared else None,
        )
        return config, replace(parts, feed_forward=experts)

    return adapt


def _shared(fields: Fields, config: ModelConfig) -> Shared:
    return Shared(_width(fields, "expert_shared_feed_forward_length", config), has_gate=True)


def _width(fields: Fields, key: str, config: ModelConfig) -> int:
    return fields.whole(fields.own(key), 1, MAX_SIZE, default=config.intermediate_size)

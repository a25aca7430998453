"""What a GGUF states of DeepSeek's attention and experts."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.blocks import Experts, Parts, Routing, Shared, dense_first
from inferflux.ir.frontend.choice import Choice, ChoiceKeys
from inferflux.ir.frontend.facts import Latent, ModelConfig
from inferflux.ir.frontend.form import SCALES
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields

KEYS = frozenset(
    {
        "attention.key_length",  # of what is kept: the two sizes below state it, too
        "attention.key_length_mla",
        "attention.kv_lora_rank",
        "attention.q_lora_rank",
        "attention.value_length_mla",
        "expert_count",
        "expert_feed_forward_length",
        "expert_gating_func",
        "expert_group_count",
        "expert_group_used_count",
        "expert_shared_count",
        "expert_used_count",
        "expert_weights_norm",
        "expert_weights_scale",
        "leading_dense_block_count",
    }
)
_SOFTMAX, _SIGMOID = 1, 2


def with_latents(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    """Latent heads, and experts behind the first layers."""

    def whole(name: str, default: int | None = None, least: int = 1) -> int:
        return fields.whole(fields.own(name), least, MAX_SIZE, default)

    has_query_rank = fields.has(fields.own("attention.q_lora_rank"))
    turned = config.head_dim  # which rope.dimension_count states
    latent = Latent(
        query_rank=whole("attention.q_lora_rank") if has_query_rank else None,
        rank=whole("attention.kv_lora_rank"),
        plain=whole("attention.key_length_mla", least=turned + 1) - turned,
        turned=turned,
        value=whole("attention.value_length_mla"),
    )
    is_v3 = _is_v3(fields)
    choice, width = _choice(fields, is_v3), whole("expert_feed_forward_length")
    experts = Experts(
        num_experts=choice.num_experts,
        num_used=choice.num_used,
        width=width,
        routing=_routing(fields, choice, is_v3),
        shared=Shared(width * whole("expert_shared_count")),
    )
    num_dense = whole("leading_dense_block_count", default=0, least=0)
    feed_forward = dense_first(num_dense, parts.feed_forward, experts, config.num_layers)
    return config.with_latents(latent), replace(parts, feed_forward=feed_forward)


def _is_v3(fields: Fields) -> bool:
    """Files without a gating function are of DeepSeek-V2; only V3's choice has a bias."""
    key = fields.own("expert_gating_func")
    gating = fields.whole(key, 0, MAX_SIZE, default=_SOFTMAX)
    if gating not in (_SOFTMAX, _SIGMOID):
        raise fields.unsupported(key, f"is {gating}, only {_SOFTMAX} and {_SIGMOID} are supported")
    return gating == _SIGMOID


def _choice(fields: Fields, is_v3: bool) -> Choice:
    own = fields.own
    keys = ChoiceKeys(
        experts=own("expert_count"),
        used=own("expert_used_count"),
        groups=own("expert_group_count"),
        used_groups=own("expert_group_used_count"),
        default=1,
    )
    return keys.read(fields, group_best=2 if is_v3 else 1)


def _routing(fields: Fields, choice: Choice, is_v3: bool) -> Routing:
    return Routing(
        scoring="sigmoid" if is_v3 else "softmax",
        normalised=fields.flag(fields.own("expert_weights_norm"), False),
        scale=fields.within(fields.own("expert_weights_scale"), *SCALES, 1.0),
        has_choice_bias=is_v3,
        num_groups=choice.num_groups,
        num_used_groups=choice.num_used_groups,
        group_best=choice.group_best,
    )

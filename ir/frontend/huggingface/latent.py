"""What config.json states of DeepSeek's attention and experts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferflux.ir.frontend.blocks import Experts, Parts, Routing, Shared, dense_first
from inferflux.ir.frontend.choice import Choice, ChoiceKeys
from inferflux.ir.frontend.facts import Latent, ModelConfig
from inferflux.ir.frontend.form import SCALES
from inferflux.ir.frontend.huggingface.experts import TRAINING
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields

KEYS = TRAINING | {
    "first_k_dense_replace",
    "head_dim",  # as qk_rope_head_dim, which is believed
    "kv_lora_rank",
    "moe_intermediate_size",
    "n_group",
    "n_routed_experts",
    "n_shared_experts",
    "norm_topk_prob",
    "num_experts_per_tok",
    "q_lora_rank",
    "qk_head_dim",  # the sum of the two below
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "rope_interleave",
    "routed_scaling_factor",
    "topk_group",
    "topk_method",
    "v_head_dim",
}
_CHOICE = ChoiceKeys("n_routed_experts", "num_experts_per_tok", "n_group", "topk_group")


@dataclass(frozen=True, slots=True)
class LatentWords:
    """DeepSeek-V2's words, or V3's, whose router scores by the logistic function."""

    is_v3: bool

    def adapt(self, fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
        """Latent heads, and experts behind the first layers."""

        def whole(name: str, default: int | None = None, least: int = 1) -> int:
            return fields.whole(name, least, MAX_SIZE, default)

        latent = Latent(
            query_rank=whole("q_lora_rank") if fields.has("q_lora_rank") else None,
            rank=whole("kv_lora_rank"),
            plain=whole("qk_nope_head_dim"),
            turned=config.head_dim,
            value=whole("v_head_dim"),
        )
        choice, width = self._choice(fields), whole("moe_intermediate_size")
        experts = Experts(
            num_experts=choice.num_experts,
            num_used=choice.num_used,
            width=width,
            routing=self._routing(fields, choice),
            shared=Shared(width * whole("n_shared_experts")),
        )
        num_dense = whole("first_k_dense_replace", default=0, least=0)
        feed_forward = dense_first(num_dense, parts.feed_forward, experts, config.num_layers)
        is_adjacent = fields.flag("rope_interleave", True)
        turned = replace(config, pairs="adjacent" if is_adjacent else "halves")
        return turned.with_latents(latent), replace(parts, feed_forward=feed_forward)

    def _choice(self, fields: Fields) -> Choice:
        if not self._has_groups(fields):
            return _CHOICE.read_ungrouped(fields)
        return _CHOICE.read(fields, group_best=2 if self.is_v3 else 1)

    def _routing(self, fields: Fields, choice: Choice) -> Routing:
        return Routing(
            scoring="sigmoid" if self.is_v3 else "softmax",
            normalised=self.is_v3 and fields.flag("norm_topk_prob", True),
            scale=fields.within("routed_scaling_factor", *SCALES, 1.0),
            has_choice_bias=self.is_v3,
            num_groups=choice.num_groups,
            num_used_groups=choice.num_used_groups,
            group_best=choice.group_best,
        )

    def _has_groups(self, fields: Fields) -> bool:
        """V2 chooses among all experts, or by the best one of each group; V3 by the best two."""
        known = (
            {"noaux_tc": True} if self.is_v3 else {"greedy": False, "group_limited_greedy": True}
        )
        method = fields.text("topk_method", next(iter(known)))
        if method not in known:
            problem = f"is {method!r}, only {' or '.join(map(repr, known))} is supported"
            raise fields.unsupported("topk_method", problem)
        return known[method]

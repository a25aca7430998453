"""What config.json says of experts; every class of transformers has words of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferflux.ir.frontend.blocks import ByLayer, Experts, FeedForward, Parts, Routing, Shared
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields

_COUNTS = ("num_experts", "num_local_experts")  # older and newer releases of a class differ
TRAINING = frozenset(  # of the router, when it learns
    {"router_aux_loss_coef", "router_jitter_noise", "aux_loss_alpha", "seq_aux"}
)


@dataclass(frozen=True, slots=True)
class ExpertWords:
    """The keys of a class, and what it takes for granted; "" where it has no such key."""

    used: str = "num_experts_per_tok"
    width: str = "intermediate_size"
    normalised: str = ""  # shares are, where the class has no word for it
    shared_width: str = ""  # of a shared expert with a gate
    activation: str = "silu"
    has_bias: bool = False
    sparse_step: str = ""  # every so many layers are mixtures
    dense_layers: str = ""  # but those that are listed

    @property
    def keys(self) -> frozenset[str]:
        """All that ``adapt`` reads."""
        words = (*_COUNTS, self.used, self.width, self.normalised, self.shared_width)
        return TRAINING | {each for each in (*words, self.sparse_step, self.dense_layers) if each}

    def adapt(self, fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
        """Feed-forward blocks are mixtures, but in layers that the file says are dense."""
        count = fields.whole(next(filter(fields.has, _COUNTS), _COUNTS[0]), 1, MAX_SIZE)
        normalised = fields.flag(self.normalised, False) if self.normalised else True
        experts = Experts(
            num_experts=count,
            num_used=fields.whole(self.used, 1, count),
            width=fields.whole(self.width, 1, MAX_SIZE),
            routing=Routing(normalised=normalised),
            activation=self.activation,
            has_bias=self.has_bias,
            shared=self._shared(fields),
        )
        sparse = self._sparse(fields, config.num_layers)
        every: tuple[FeedForward, ...] = tuple(
            experts if is_sparse else parts.feed_forward for is_sparse in sparse
        )
        return config, replace(parts, feed_forward=experts if all(sparse) else ByLayer(every))

    def _shared(self, fields: Fields) -> Shared | None:
        if not self.shared_width:
            return None
        return Shared(fields.whole(self.shared_width, 1, MAX_SIZE), has_gate=True)

    def _sparse(self, fields: Fields, num_layers: int) -> tuple[bool, ...]:
        """Which layers are mixtures."""
        step = fields.whole(self.sparse_step, 1, MAX_SIZE, default=1) if self.sparse_step else 1
        listed = fields.values.get(self.dense_layers, ())
        is_empty = isinstance(listed, tuple) and not listed
        dense = () if is_empty else fields.wholes(self.dense_layers)
        return tuple((layer + 1) % step == 0 and layer not in dense for layer in range(num_layers))

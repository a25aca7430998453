"""SmolLM 3: every fourth layer turns neither queries nor keys."""

from __future__ import annotations

from collections.abc import Mapping

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.facts import ModelConfig, Rope
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.config import same_in_all as same_in_metadata
from inferflux.ir.frontend.huggingface.published import Published, same_in_all
from inferflux.ir.frontend.huggingface.windows import windows_if_used
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.typed import Fields

_PERIOD = 4


def _ropes(
    fields: Fields, config: ModelConfig, defaults: Mapping[str, float]
) -> tuple[Rope | None, ...]:
    """``no_rope_layers`` has a 1 for every layer that does turn them."""
    ropes, key = same_in_all(fields, config, defaults), "no_rope_layers"
    if not fields.has(key):
        period = fields.whole("no_rope_layer_interval", 1, MAX_SIZE, default=_PERIOD)
        return _but_every(period, ropes)
    turned = fields.wholes(key)
    if len(turned) != config.num_layers or not set(turned) <= {0, 1}:
        raise fields.wrong(key, f"must be 0 or 1 of each of {config.num_layers} layers")
    return tuple(rope if is_turned else None for rope, is_turned in zip(ropes, turned, strict=True))


def _metadata_ropes(
    source: ModelSource, config: ModelConfig, tensors: tuple[str, ...]
) -> tuple[Rope | None, ...]:
    return _but_every(_PERIOD, same_in_metadata(source, config, tensors))


def _but_every(period: int, ropes: tuple[Rope | None, ...]) -> tuple[Rope | None, ...]:
    return tuple(rope if (at + 1) % period else None for at, rope in enumerate(ropes))


SMOLLM3 = Architecture(
    "smollm3",
    Metadata(pairs="adjacent", ropes=_metadata_ropes),
    (
        Published(
            "smollm3",
            "SmolLM3ForCausalLM",
            defaults={"is_tied": True, "theta": 2_000_000.0},
            reads=frozenset({"no_rope_layers", "no_rope_layer_interval"}),
            windows=windows_if_used,
            ropes=_ropes,
        ),
    ),
)

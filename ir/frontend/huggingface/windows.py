"""How config.json says which layers see only some tokens: a token is one of those that it sees."""

from __future__ import annotations

from inferflux.ir.frontend.form import Windows
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields

KEYS = frozenset(  # of classes that know windows
    {
        "_sliding_window_pattern",  # of a class that has made layer_types of it
        "layer_types",
        "max_window_layers",
        "sliding_window",
        "sliding_window_pattern",
        "use_sliding_window",
    }
)
_KINDS = ("full_attention", "sliding_attention")


def same_windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    """``sliding_window`` in all layers, where it is stated."""
    window = fields.whole("sliding_window", 1, MAX_SIZE) if fields.has("sliding_window") else None
    return (window,) * num_layers


def windows_if_used(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    """With ``use_sliding_window``, those of ``layer_types``, or from ``max_window_layers`` on."""
    if not fields.flag("use_sliding_window", False) or not fields.has("sliding_window"):
        return (None,) * num_layers
    window = fields.whole("sliding_window", 1, MAX_SIZE)
    if fields.has("layer_types"):
        return _by_types(fields, num_layers, window)
    first = fields.whole("max_window_layers", 0, MAX_SIZE)
    return tuple(window if layer >= first else None for layer in range(num_layers))


def windows_in_turns(period: int) -> Windows:
    """``sliding_window`` in the layers of ``layer_types``, or in all but every ``period``th."""

    def windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
        window = fields.whole("sliding_window", 1, MAX_SIZE)
        if fields.has("layer_types"):
            return _by_types(fields, num_layers, window)
        turn = fields.whole("sliding_window_pattern", 1, MAX_SIZE, default=period)
        return tuple(window if (layer + 1) % turn else None for layer in range(num_layers))

    return windows


def _by_types(fields: Fields, num_layers: int, window: int) -> tuple[int | None, ...]:
    kinds = fields.texts("layer_types")
    if len(kinds) != num_layers or not set(kinds) <= set(_KINDS):
        problem = f"must be full_attention or sliding_attention of each of {num_layers} layers"
        raise fields.wrong("layer_types", problem)
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)

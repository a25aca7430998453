"""How a GGUF says which layers see only some tokens: a token is one of those that it sees."""

from __future__ import annotations

from inferflux.ir.frontend.form import Windows
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields


def stated_windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    """``sliding_window`` in the layers that are true in ``sliding_window_pattern``."""
    window_key = fields.own("attention.sliding_window")
    pattern_key = f"{window_key}_pattern"
    if not fields.has(window_key) and not fields.has(pattern_key):
        return (None,) * num_layers
    window = fields.whole(window_key, 1, MAX_SIZE)
    pattern = fields.flags(pattern_key)
    if len(pattern) != num_layers:
        raise fields.wrong(pattern_key, f"has {len(pattern)} entries for {num_layers} layers")
    return tuple(window if is_windowed else None for is_windowed in pattern)


def windows_in_turns(period: int) -> Windows:
    """As stated; without a pattern in all layers but every ``period``th, or in all (0).

    A window of 0 tokens is none.
    """

    def windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
        window_key = fields.own("attention.sliding_window")
        if fields.has(f"{window_key}_pattern") or not fields.has(window_key):
            return stated_windows(fields, num_layers)
        window = fields.whole(window_key, 0, MAX_SIZE)
        if not window:
            return (None,) * num_layers
        turns = (not period or (layer + 1) % period for layer in range(num_layers))
        return tuple(window if is_windowed else None for is_windowed in turns)

    return windows

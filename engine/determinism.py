"""Determinism: what a token's logits may depend on beside its own sequence."""

from __future__ import annotations

from enum import StrEnum

from inferflux.errors import InvalidArgument


class Determinism(StrEnum):
    """Both repeat themselves for the same steps; docs/determinism.md says what each costs."""

    DEFAULT = "default"  # on how many tokens its step holds: each step is computed the fastest way
    BATCH_INVARIANT = "batch_invariant"  # on nothing: every step is computed in one arithmetic


def in_force(*chosen: Determinism) -> Determinism:
    """What holds for a request, or a step, of which several may choose: one is enough."""
    if Determinism.BATCH_INVARIANT in chosen:
        return Determinism.BATCH_INVARIANT
    return Determinism.DEFAULT


def determinism_named(name: str) -> Determinism:
    """The one that is called so.  Raises InvalidArgument."""
    try:
        return Determinism(name)
    except ValueError:
        allowed = " or ".join(Determinism)
        raise InvalidArgument(f"determinism is {name!r}: it must be {allowed}") from None

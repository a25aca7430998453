"""Drafters: who guesses tokens that the target model then verifies."""

from __future__ import annotations

from typing import Protocol

from inferflux.engine.plan import Drafts, Plan


class Drafter(Protocol):
    def propose(self, plan: Plan) -> Drafts: ...


class NoDraft:
    """Guesses nothing; that is all plain decoding is."""

    def propose(self, plan: Plan) -> Drafts:
        return ((),) * len(plan.sequences)

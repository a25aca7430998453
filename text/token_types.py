"""What tokens are for, as GGUF numbers it."""

from __future__ import annotations

from enum import IntEnum

from inferflux.codegen.artifact.compiled import TokenizerFacts


class TokenType(IntEnum):
    """GGUF's types of token."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


def tokens_of(facts: TokenizerFacts, *types: TokenType) -> dict[str, int]:
    """Those that are of one of the types, and not empty."""
    wanted = frozenset(map(int, types))  # enums compare slowly, and a vocabulary is long
    found = [at for at, kind in enumerate(facts.token_types) if kind in wanted]
    return {facts.tokens[at]: at for at in found if facts.tokens[at]}

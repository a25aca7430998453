"""The pieces of a Unigram model in a tokenizer.json: a list of texts with their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferflux.ir.frontend.typed import Fields

_KEY = "model.vocab"


@dataclass(frozen=True, slots=True)
class ScoredPieces:
    """Texts by id, the bits of their scores as float32, and the id of what is unknown."""

    tokens: tuple[str, ...]
    scores: tuple[int, ...]
    unknown: int | None

    def scores_of(self, size: int) -> tuple[int, ...]:
        """Of as many ids as the embedding has rows; those that are no pieces change no minimum."""
        return (*self.scores, *self.scores[:1] * (size - len(self.scores)))[:size]


def read_scored(fields: Fields, model: Mapping[str, Any]) -> ScoredPieces:
    """Raises UnsupportedModel for a score that is no float32, which is how scores are kept."""
    entries = model.get("vocab")
    if not isinstance(entries, list) or not entries:
        raise fields.wrong(_KEY, "is not an array of tokens and their scores")
    tokens, scores = zip(*(_piece(fields, *each) for each in enumerate(entries)), strict=True)
    if len(set(tokens)) != len(tokens):
        raise fields.wrong(_KEY, "has a token twice, so its id is ambiguous")
    return ScoredPieces(tokens, _bits(fields, scores), _unknown(fields, model, len(tokens)))


def _piece(fields: Fields, at: int, entry: object) -> tuple[str, float]:
    match entry:
        case [str(token), int() | float() as score] if token and not isinstance(score, bool):
            return token, score
        case _:
            raise fields.wrong(_KEY, f"[{at}] is {entry!r}, not a token and its score")


def _bits(fields: Fields, scores: tuple[float, ...]) -> tuple[int, ...]:
    exact = np.array(scores, np.float64)
    with np.errstate(over="ignore"):
        narrow = exact.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise fields.wrong(_KEY, "has a score that is not a finite float32")
    other = np.flatnonzero(narrow != exact)
    if other.size:
        problem = f"[{other[0]}] has score {scores[other[0]]!r}, which is not exactly a float32"
        raise fields.unsupported(_KEY, problem)
    return tuple(narrow.view(np.uint32).tolist())


def _unknown(fields: Fields, model: Mapping[str, Any], most: int) -> int | None:
    match model.get("unk_id"):
        case None:
            return None
        case int(found) if not isinstance(found, bool) and 0 <= found < most:
            return found
        case other:
            raise fields.wrong("model.unk_id", f"is {other!r}, must be 0..{most - 1}")

"""How much longer the steps of a stranger's tokenizer may make a text."""

from __future__ import annotations

import math
from collections.abc import Iterable

from inferflux.ir.frontend.facts import TextStep
from inferflux.ir.frontend.limits import MAX_TEXT_GROWTH


def grows_too_much(steps: Iterable[TextStep]) -> bool:
    """Whether a text could become more than ``MAX_TEXT_GROWTH`` times as long, by its bytes.

    Each of ``a -> aa`` doubles a text, so thirty would make gigabytes of one byte.
    """
    return math.prod(map(_growth, steps)) > MAX_TEXT_GROWTH


def _growth(step: TextStep) -> float:
    put = len(step.text.encode())
    match step.kind:
        case "replace" if "regex" in step.flags:
            return 1 + put  # it may find nothing, and between any two bytes
        case "replace":
            return max(1.0, put / len(step.pattern.encode())) if step.pattern else math.inf
        case "prepend":
            return 1 + put
        case _:
            return 1  # Unicode's forms, whose growth is Unicode's

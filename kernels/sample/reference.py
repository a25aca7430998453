"""What sampling means, one row at a time, in float64 and with a sort."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array

_LARGEST = float(np.finfo(np.float32).max)


def clean(logits: Array) -> Array:
    """Logits as sampling sees them: the nearest finite float32, for NaN the lowest.  (V,)"""
    numbers = np.where(np.isnan(logits), -_LARGEST, logits).astype(np.float64)
    return np.asarray(np.clip(numbers, -_LARGEST, _LARGEST))


def ranked(logits: Array) -> Array:
    """Indices in the order of falling logits, equal ones by index.  (V,) -> (V,)"""
    return np.argsort(-clean(logits), kind="stable")


def log_probs(logits: Array) -> Array:
    """log softmax at temperature 1.  (V,) -> (V,)"""
    shifted = clean(logits) - clean(logits).max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def kept_weights(
    logits: Array, temperature: float, top_k: int, top_p: float, min_p: float
) -> Array:
    """exp((logits - max) / temperature), 0 for tokens that are cut.  (V,) -> (V,)

    top_k keeps that many; top_p, of those, each one that less than top_p of their mass precedes
    (and always the first); min_p those of at least min_p times the largest weight.
    """
    order = ranked(logits)
    shifted = clean(logits) - clean(logits).max()
    weights = np.exp(np.maximum(shifted / max(temperature, 1e-30), -1000))
    kept = order[: max(1, top_k)]
    if top_p < 1:
        mass = np.cumsum(weights[kept])
        kept = kept[: max(1, np.count_nonzero(mass - weights[kept] < top_p * mass[-1]))]
    kept = kept[weights[kept] >= min(min_p, 1)]
    result = np.zeros(len(weights))
    result[kept] = weights[kept]
    return result


def choose(weights: Array, uniform: float) -> int:
    """The first index whose running sum exceeds ``uniform`` times the whole sum."""
    running = np.cumsum(weights)
    return int(np.searchsorted(running, uniform * running[-1], side="right"))

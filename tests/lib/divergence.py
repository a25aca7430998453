"""How far log-probabilities are from a reference: over all tokens, or from a sketch of it.

A sketch fits in a repository.  Per position it keeps the K most likely tokens and S tokens drawn
from the reference's distribution over the others, with their log-probabilities.  With p the
reference, q what is measured and r = q / p,

    KL = sum over the K best of p (log p - log q)
       + P mean over the S drawn of (r - 1 - log r) - (Q - P)

where P and Q are what p and q leave to the others.  The second line is exact in expectation, since
the mean of r - 1 is (Q - P) / P, and its terms are small and never negative, so it is precise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Divergence:
    """KL(reference || measured) over positions, in nats, and how often the best token agrees."""

    mean: float
    p99: float
    top1: float

    def __str__(self) -> str:
        return f"KL mean {self.mean:.3g}, p99 {self.p99:.3g}, top-1 {self.top1:.4f}"


@dataclass(frozen=True, slots=True)
class Sketch:
    """A reference in a hundredth of its size, and the tokens it was computed on."""

    tokens: Array  # (T,) i32
    best: Array  # (T, K) u16, best first
    best_log_probs: Array  # (T, K) f32
    drawn: Array  # (T, S) u16
    drawn_log_probs: Array  # (T, S) f32


def kl(reference: Array, measured: Array) -> Divergence:
    """Both (T, V) log-probabilities over the whole vocabulary."""
    rows = zip(reference, measured, strict=True)  # by row: in float64 the whole would be gigabytes
    divergences = [_weighted_gap(np.float64(expected), got) for expected, got in rows]
    return _summary(divergences, reference.argmax(axis=1), measured.argmax(axis=1))


def kl_from_sketch(reference: Sketch, measured: Array) -> Divergence:
    """``measured``: (T, V) log-probabilities of the positions of ``reference``."""
    divergences = [_row_kl(reference, row, got) for row, got in enumerate(np.float64(measured))]
    return _summary(divergences, reference.best[:, 0], measured.argmax(axis=1))


def sketch(tokens: Array, log_probs: Array, num_best: int, num_drawn: int) -> Sketch:
    assert log_probs.shape[1] <= 1 << 16, "token ids are kept in 16 bits"
    random = np.random.default_rng(0)
    best = np.argsort(-log_probs, axis=1, kind="stable")[:, :num_best]
    drawn = np.stack([_draw(random, *row, num_drawn) for row in zip(log_probs, best, strict=True)])
    return Sketch(
        tokens.astype(np.int32),
        best.astype(np.uint16),
        np.take_along_axis(log_probs, best, axis=1),
        drawn.astype(np.uint16),
        np.take_along_axis(log_probs, drawn, axis=1),
    )


def save(reference: Sketch, path: Path) -> None:
    np.savez_compressed(path, **{name: getattr(reference, name) for name in Sketch.__slots__})


def load(path: Path) -> Sketch:
    with np.load(path, allow_pickle=False) as stored:
        return Sketch(**stored)


def _draw(random: np.random.Generator, log_probs: Array, best: Array, num_drawn: int) -> Array:
    probs = np.exp(log_probs.astype(np.float64))
    probs[best] = 0.0
    return random.choice(len(probs), size=num_drawn, p=probs / probs.sum())


def _row_kl(reference: Sketch, row: int, measured: Array) -> float:
    best = np.float64(reference.best_log_probs[row])
    best_measured = measured[reference.best[row]]
    log_ratio = measured[reference.drawn[row]] - reference.drawn_log_probs[row]
    left = 1.0 - np.exp(best).sum()
    left_measured = 1.0 - np.exp(best_measured).sum()
    among_others = left * np.mean(np.expm1(log_ratio) - log_ratio) - (left_measured - left)
    return _weighted_gap(best, best_measured) + float(among_others)


def _weighted_gap(reference: Array, measured: Array) -> float:
    return float(np.sum(np.exp(reference) * (reference - measured)))


def _summary(divergences: list[float], expected: Array, best: Array) -> Divergence:
    agreement = float(np.mean(expected == best))
    return Divergence(float(np.mean(divergences)), float(np.quantile(divergences, 0.99)), agreement)

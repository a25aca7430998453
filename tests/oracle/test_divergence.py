"""A sketch of a reference tells the divergence that the whole reference tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import divergence

REFERENCE = Path(__file__).with_name("reference.npz")
T, V = 200, 5000


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))).astype(np.float32)


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    """As peaked as a language model's: a few percent of the mass lie beyond the 128 best."""
    return np.random.default_rng(0).gumbel(0.0, 1.7, (T, V))


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 0.3])
def test_a_sketch_tells_the_divergence_of_the_whole(logits: np.ndarray, noise: float) -> None:
    reference = log_softmax(logits)
    measured = log_softmax(logits + np.random.default_rng(1).normal(0.0, noise, (T, V)))
    whole = divergence.kl(reference, measured)
    sketch = divergence.sketch(np.arange(T), reference, num_best=128, num_drawn=64)
    sketched = divergence.kl_from_sketch(sketch, measured)
    assert sketched.mean == pytest.approx(whole.mean, rel=0.03, abs=1e-7)
    assert sketched.p99 == pytest.approx(whole.p99, rel=0.10, abs=1e-6)
    assert sketched.top1 == whole.top1


def test_a_sketch_sees_mass_that_only_moved_among_the_unlikely(logits: np.ndarray) -> None:
    reference = log_softmax(logits)
    sketch = divergence.sketch(np.arange(T), reference, num_best=8, num_drawn=64)
    moved = logits.copy()
    for row, best in zip(moved, sketch.best, strict=True):
        unlikely = np.setdiff1d(np.arange(V), best)
        row[unlikely] = np.random.default_rng(2).permutation(row[unlikely])
    measured = log_softmax(moved)
    whole = divergence.kl(reference, measured).mean
    assert divergence.kl_from_sketch(sketch, measured).mean == pytest.approx(whole, rel=0.2)


def test_the_same_distribution_does_not_diverge(logits: np.ndarray) -> None:
    reference = log_softmax(logits)
    sketch = divergence.sketch(np.arange(T), reference, num_best=128, num_drawn=64)
    assert divergence.kl_from_sketch(sketch, reference) == divergence.Divergence(0.0, 0.0, 1.0)


def test_a_sketch_survives_its_file(logits: np.ndarray, tmp_path: Path) -> None:
    sketch = divergence.sketch(np.arange(T), log_softmax(logits), num_best=8, num_drawn=4)
    divergence.save(sketch, tmp_path / "sketch.npz")
    stored = divergence.load(tmp_path / "sketch.npz")
    for name in ("tokens", "best", "best_log_probs", "drawn", "drawn_log_probs"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(sketch, name))


def test_the_committed_reference_is_small_and_whole() -> None:
    assert REFERENCE.stat().st_size < 1_500_000
    reference = divergence.load(REFERENCE)
    assert len(reference.tokens) > 600
    assert (np.diff(reference.best_log_probs, axis=1) <= 0).all()
    assert (np.exp(np.float64(reference.best_log_probs)).sum(axis=1) < 1.0).all()

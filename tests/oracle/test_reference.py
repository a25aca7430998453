"""The committed reference is what transformers computes today, on the tokens of the corpus."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import divergence

pytestmark = pytest.mark.oracle
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def log_probs(decoders: ModuleType, default_model: Path, tokens: np.ndarray) -> np.ndarray:
    return decoders.log_probs(decoders.load(default_model), tokens)


@pytest.fixture(scope="module")
def tokens(decoders: ModuleType, default_model: Path) -> np.ndarray:
    corpus = (HERE / "corpus.txt").read_text(encoding="utf-8")
    return np.array(decoders.tokenize(default_model, corpus), np.int32)


def test_the_reference_was_computed_on_the_corpus(tokens: np.ndarray) -> None:
    np.testing.assert_array_equal(divergence.load(HERE / "reference.npz").tokens, tokens)


def test_the_reference_is_what_transformers_computes(log_probs: np.ndarray) -> None:
    """Another machine sums in another order, so not bit by bit."""
    reference = divergence.load(HERE / "reference.npz")
    assert divergence.kl_from_sketch(reference, log_probs).mean < 1e-8


def test_the_model_has_learnt_english(tokens: np.ndarray, log_probs: np.ndarray) -> None:
    """A permutation undone wrongly would leave numbers that agree with nothing, or with noise."""
    next_tokens = log_probs[np.arange(len(tokens) - 1), tokens[1:]]
    assert -next_tokens.mean() < 3.0

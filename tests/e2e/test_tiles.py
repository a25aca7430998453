"""The default model by AMX, where a machine has it or `make test-amx` plays one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import divergence
from inferflux import engine
from inferflux.codegen.artifact import machine_features
from inferflux.codegen.targets import TARGETS
from inferflux.engine.config import EngineConfig

AMX, VECTORS = "cpu:avx512-amx", "cpu:avx512-bf16"
TOKENS = divergence.load(Path(__file__).parents[1] / "oracle" / "reference.npz").tokens[:33]
BY_BF16, BY_INT8 = 33, 16  # rows of a step: two blocks of tiles and a row, and one

pytestmark = pytest.mark.skipif(
    not machine_features().issuperset(TARGETS[AMX].features), reason="this machine has no AMX"
)


def score(artifact: Path, chunk: int) -> np.ndarray:
    """Teacher-forced log-probabilities.  -> (T, V)"""
    config = EngineConfig(artifact, kv_bytes=64 << 20, max_sequences=1, chunk_tokens=64)
    return engine.load(config).score(TOKENS.tolist(), chunk)


def test_integer_products_by_tiles_give_the_bits_of_vectors(
    compiled_default: Callable[..., Path],
) -> None:
    tiles, vectors = (score(compiled_default(target=name), BY_INT8) for name in (AMX, VECTORS))
    np.testing.assert_array_equal(tiles, vectors)


def test_prompts_by_tiles_are_as_exact_as_by_vectors(
    compiled_default: Callable[..., Path],
) -> None:
    exact = score(compiled_default(numerics="float32", target=VECTORS), BY_BF16)
    tiles, vectors = (
        divergence.kl(exact, score(compiled_default(target=name), BY_BF16)).mean
        for name in (AMX, VECTORS)
    )
    assert tiles <= max(1.5 * vectors, 2e-4), (tiles, vectors)

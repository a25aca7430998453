"""Small decoders of every architecture and type, compiled in float32, are transformers' own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import divergence
from inferflux import codegen, engine
from inferflux.cli.build import best_target
from inferflux.codegen import artifact
from inferflux.engine.config import EngineConfig
from inferflux.ir import frontend

pytestmark = pytest.mark.oracle

HEAD_DIM, THETA, NUM_TOKENS = 64, 10000.0, 100
SHAPE = {"heads": 2, "kv_heads": 1, "head_dim": HEAD_DIM, "hidden": 96}
LLAMA3 = {  # the original length so short that some pairs are scaled, some not, and some between
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def llama3_factors() -> tuple[float, ...]:
    """What a converter writes to ``rope_freqs.weight``: a divisor for each pair's frequency."""
    factor, low, high, original = (value for value in LLAMA3.values() if not isinstance(value, str))

    def divisor(pair: int) -> float:
        turns = original * THETA ** (-2 * pair / HEAD_DIM) / (2 * math.pi)
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        return 1 / ((1 - smooth) / factor + smooth)

    return tuple(divisor(pair) for pair in range(HEAD_DIM // 2))


MODELS: dict[str, tuple[dict[str, Any], dict[str, object] | None]] = {
    "llama": ({"layer_types": ("q4_0", "bf16", "q4_1"), "head_type": "f16"}, None),
    "llama with scaled rotations": (
        {"layer_types": ("q8_0", "q4_0"), "rope_factors": llama3_factors()},
        LLAMA3,
    ),
    "qwen2": (
        {"architecture": "qwen2", "layer_types": ("q4_0", "bf16"), "embedding_type": "q4_0"},
        None,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_compiled_decoders_agree_with_transformers(
    decoders: ModuleType,
    tiny_gguf: Callable[..., Path],
    tmp_path: Path,
    name: str,
) -> None:
    fields, rope = MODELS[name]
    model = tiny_gguf(**SHAPE, rope_theta=THETA, context_length=128, **fields)
    tokens = np.random.default_rng(0).integers(0, 320, NUM_TOKENS)
    expected = decoders.log_probs(decoders.load(model, rope), tokens)
    found = divergence.kl(expected, compiled_log_probs(model, tokens, tmp_path / "tiny.ifx"))
    assert abs(found.mean) < 1e-6, found
    assert found.top1 == 1.0, found


def compiled_log_probs(model: Path, tokens: np.ndarray, path: Path) -> np.ndarray:
    compiled = codegen.compile(frontend.open(model), (best_target(),), numerics="float32")
    artifact.save(compiled, path)
    config = EngineConfig(path, kv_bytes=16 << 20, max_sequences=1, chunk_tokens=64)
    return engine.load(config).score(tokens.tolist(), 64)

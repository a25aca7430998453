"""Weights that depend on a tensor's name and shape alone, on every machine and without torch."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

Array = np.ndarray


def random_weights(
    model_type: str, shapes: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, Array]]:
    """Norms are away from 1 and biases from 0, so that a forgotten weight is seen.  -> f32"""
    is_less_one = model_type.startswith("gemma")  # whose norms are by w + 1
    for name, shape in shapes.items():
        spread, middle = _spread(name, shape)
        middle -= is_less_one and middle == 1
        yield name, (middle + spread * _uniform(name, shape)).astype(np.float32)


def _uniform(name: str, shape: Sequence[int]) -> Array:
    """Numbers of -1..1, of variance 1/3, from the raw bits of a generator, which never change."""
    bits = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    return (bits >> 11).astype(np.float64).reshape(shape) * 2.0**-52 - 1.0


def _spread(name: str, shape: Sequence[int]) -> tuple[float, float]:
    """What the numbers are times, and what is added."""
    by_column = float(np.sqrt(3.0 / shape[-1]))
    if "e_score_correction_bias" in name:
        return 0.2, 0.0
    if "sinks" in name:
        return 2.0, 0.0
    if name.endswith(("bias", "_bias")):
        return 0.5, 0.0
    if "norm" in name or ".ln_" in name:
        return 0.5, 1.0
    if "embed_tokens" in name or name.endswith(
        ("wte.weight", "wpe.weight", "word_embeddings.weight")
    ):
        return 0.9, 0.0
    is_router = name.endswith((".gate.weight", "router.weight", "router.layer.weight"))
    return (3.0 if is_router else 1.5) * by_column, 0.0

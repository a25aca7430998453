"""Weights as files hold them, of any type: rounded from numbers, or made of random bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferflux.ir.graph import Graph
from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import (
    MXFP4,
    Q2_K,
    Q3_K,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    DType,
)

Array = np.ndarray[Any, np.dtype[Any]]

ROUNDED = (Q4_0, Q4_1, Q8_0)
HALVES_AT = {
    Q5_1: (0, 2),
    Q2_K: (80, 82),
    Q3_K: (108,),
    Q4_K: (0, 2),
    Q5_K: (0, 2),
    Q6_K: (208,),
}  # bytes


def tensors_of(graph: Graph, seed: int) -> dict[str, Array]:
    """For every weight of the graph, tensors as a file holds them: unit variance of products."""
    tensors: dict[str, Array] = {}
    for index, weight in enumerate(graph.weights):
        shape = tuple(int(dim) for dim in weight.type.shape)
        spread = shape[-1] ** -0.5 if weight.type.layout else 1.0
        values = some_weight(weight.type.dtype, shape, spread, (seed, index))
        parts = values.reshape(len(weight.sources), -1)
        tensors.update(zip(weight.sources, parts, strict=True))
    return tensors


def some_weight(dtype: DType, shape: tuple[int, ...], spread: float, seed: Any) -> Array:
    """A tensor's bytes in rows, its weights about ``spread`` from 0."""
    random = np.random.default_rng(seed)
    if dtype in ROUNDED or not dtype.is_quantised:
        return quantise(random.normal(0, spread, shape).astype(np.float32), dtype)
    blocks = (*shape[:-1], shape[-1] // dtype.block, dtype.block_bytes)
    raw = random.integers(0, 256, blocks, np.uint8)
    if dtype == MXFP4:
        raw[..., 0] = random.integers(120, 126, blocks[:-1])
        return raw.reshape(*shape[:-1], -1)
    scales = random.uniform(0.5, 1.5, (2, *blocks[:-1]))
    _set_halves(raw, dtype, scales)
    _set_halves(raw, dtype, scales * (spread / dequantise(raw, dtype, shape).std()))
    return raw.reshape(*shape[:-1], -1)


def _set_halves(raw: Array, dtype: DType, scales: Array) -> None:
    for at, values in zip(HALVES_AT.get(dtype, (0,)), scales, strict=False):
        raw[..., at : at + 2] = values.astype("<f2")[..., None].view(np.uint8)

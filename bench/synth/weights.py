"""Random weights, tensor by tensor: the same seed and name give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from inferflux.bench.synth.shapes import TensorShape

Floats = np.ndarray[Any, np.dtype[np.float32]]

_CHUNK_ELEMENTS: Final = 1 << 22  # float32 held at once: 16 MB, however large the tensor


def random_rows(tensor: TensorShape, seed: int) -> Iterator[Floats]:
    """The tensor's rows in chunks; a vector is one chunk.  -> (rows, columns) or (rows,)

    A matrix of K columns is scaled by 1 / sqrt(K), so that variance is kept from layer to layer.
    """
    random = np.random.default_rng([seed, *tensor.name.encode()])
    if tensor.columns is None:
        yield _normal(random, (tensor.rows,), tensor.mean, tensor.spread)
        return
    scale = tensor.spread / tensor.columns**0.5
    rows_at_once = max(1, _CHUNK_ELEMENTS // tensor.columns)
    for start in range(0, tensor.all_rows, rows_at_once):
        count = min(rows_at_once, tensor.all_rows - start)
        yield _normal(random, (count, tensor.columns), tensor.mean, scale)


def _normal(
    random: np.random.Generator, shape: tuple[int, ...], mean: float, scale: float
) -> Floats:
    values = random.standard_normal(shape, dtype=np.float32)
    values *= np.float32(scale)
    values += np.float32(mean)
    return values

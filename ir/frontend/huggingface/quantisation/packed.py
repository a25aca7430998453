"""Small integers that lie side by side in words of 32 bits."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array


def unpack_words(words: Array, bits: int, order: tuple[int, ...] | None = None) -> Array:
    """Along the last dimension, the lowest bits first or in ``order``: (..., n) -> (..., n*32/bits)

    ``order`` says of each number which place of its word it has.
    """
    places = np.array(order or range(32 // bits), np.uint32)
    numbers = words.view(np.uint32)[..., None] >> places * bits & np.uint32((1 << bits) - 1)
    return numbers.reshape(*words.shape[:-1], -1).astype(np.int16)

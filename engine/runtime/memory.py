"""Memory that compiled code may be given."""

from __future__ import annotations

import numpy as np

from inferflux.engine.step import Array

ALIGNMENT = 64  # bytes: a cache line, and what the compiled code is told of its arguments


def zeros(size: int, dtype: str | np.dtype[np.void]) -> Array:
    """An aligned array; its pages are not touched before they are used."""
    nbytes = size * np.dtype(dtype).itemsize
    raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes].view(dtype)

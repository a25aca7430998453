"""Philox4x32-10: random numbers that are a pure function of a counter and a key.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_ROUNDS = 10


def philox4x32(counter: Array, key: Array) -> Array:
    """Ten rounds.  uint32 (..., 4), uint32 (..., 2) -> uint32 (..., 4)"""
    c0, c1, c2, c3 = np.moveaxis(counter.astype(np.uint64), -1, 0)
    k0, k1 = np.moveaxis(key.astype(np.uint64), -1, 0)
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = _high(product1) ^ c1 ^ k0, _high(product0) ^ c3 ^ k1
        c1, c3 = product1 & _LOW, product0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def uniform(seeds: Array, positions: Array) -> Array:
    """A number in [0, 1) for each (seed, position), 24 bits of it.  u64 (R,), i32 (R,) -> f32 (R,)

    Of nothing else: not of the batch, the step or the slot, so that none of them can change it.
    """
    counter = np.zeros((len(seeds), 4), np.uint32)
    counter[:, 0] = positions
    seeds = seeds.astype(np.uint64)
    key = np.stack([seeds & _LOW, seeds >> np.uint64(32)], axis=-1).astype(np.uint32)
    first = philox4x32(counter, key)[:, 0]
    return (first >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _high(product: Array) -> Array:
    return product >> np.uint64(32)

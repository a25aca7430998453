"""The types that name points of a grid: IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S.

A block of 256 has a half, and 3 or 4 bits s for every 16 or 32 columns, which stand for 2s + 1.
All powers of two of a formula go with the half, so that scales and q are whole: no product of the
three has more digits than a float32.  Signs are apart: eight bits, or seven, of which an eighth
makes an even number.
"""

from __future__ import annotations

import numpy as np

from inferflux.ir.frontend.gguf.repacked.grids import grid
from inferflux.ir.graph import Array
from inferflux.ir.quantised.blocks import SuperBlocks, f16_at, planes

_SEVENS = np.arange(128, dtype=np.uint8)
_PARITY = planes(_SEVENS, 1, 1).reshape(128, 8).sum(axis=1, dtype=np.uint8) & 1
_EVEN_SIGNS = 1 - 2 * planes(_SEVENS | _PARITY << 7, 1, 1).reshape(128, 8).astype(np.int8)


def unpack_iq2_xxs(blocks: Array) -> SuperBlocks:
    """(n, 66): half, 8 x (4 indices of 8 bit, 4 x 7 signs, 4 bit)."""
    groups = blocks[:, 2:].reshape(-1, 8, 8)
    words = _words(groups[..., 4:], "<u4")[..., 0]  # (n, 8)
    q = grid("IQ2_XXS")[groups[..., :4]] * _word_signs(words)
    return _lattice(_half(blocks, 0) / 8, words >> 28, q)


def unpack_iq2_xs(blocks: Array) -> SuperBlocks:
    """(n, 74): half, 32 x (index of 9 bit, 7 signs), 16 x 4 bit."""
    words = _words(blocks[:, 2:66], "<u2")  # (n, 32)
    q = grid("IQ2_XS")[words & 511] * _EVEN_SIGNS[words >> 9]
    return _lattice(_half(blocks, 0) / 8, planes(blocks[:, 66:], 4, 1), q)


def unpack_iq2_s(blocks: Array) -> SuperBlocks:
    """(n, 82): half, 32 indices of 8 bit, 256 signs, 2 more bits of each index, 16 x 4 bit."""
    index = blocks[:, 2:34] | planes(blocks[:, 66:74], 2, 1).astype(np.uint16) << 8
    q = grid("IQ2_S")[index].reshape(-1, 256) * _signs(blocks[:, 34:66])
    return _lattice(_half(blocks, 0) / 8, planes(blocks[:, 74:], 4, 1), q)


def unpack_iq3_xxs(blocks: Array) -> SuperBlocks:
    """(n, 98): half, 64 indices of 8 bit, 8 x (4 x 7 signs, 4 bit); the grid's numbers are even."""
    words = _words(blocks[:, 66:], "<u4")  # (n, 8)
    points = grid("IQ3_XXS")[blocks[:, 2:66]].reshape(-1, 8, 4, 8)
    return _lattice(_half(blocks, 0) / 2, words >> 28, points // 2 * _word_signs(words))


def unpack_iq3_s(blocks: Array) -> SuperBlocks:
    """(n, 110): half, 64 indices of 8 bit, a ninth bit of each, 256 signs, 8 x 4 bit."""
    index = blocks[:, 2:66] | planes(blocks[:, 66:74], 1, 1).astype(np.uint16) << 8
    q = grid("IQ3_S")[index].reshape(-1, 256) * _signs(blocks[:, 74:106])
    return _lattice(_half(blocks, 0), planes(blocks[:, 106:], 4, 1), q)


def unpack_iq1_s(blocks: Array) -> SuperBlocks:
    """(n, 50): half, 32 indices of 8 bit, 8 x (3 more bits of 4 indices, 3 bit, a sign of 1/8)."""
    words = _words(blocks[:, 34:], "<u2")  # (n, 8)
    index = blocks[:, 2:34] | (_threes(words) << 8)
    return _ternary(_half(blocks, 0), words >> 12 & 7, index, np.repeat(words >> 15, 4, axis=1))


def unpack_iq1_m(blocks: Array) -> SuperBlocks:
    """(n, 56): 32 indices of 8 bit, 32 x (3 more bits, a sign of 1/8), 4 x (4 x 3 bit, 4 bit).

    The half is what the four upper bits of the four words make.
    """
    more = planes(blocks[:, 32:48], 4, 1).astype(np.uint16)  # (n, 32)
    words = _words(blocks[:, 48:], "<u2")  # (n, 4)
    half = (words >> 12 << np.arange(0, 16, 4, dtype=np.uint16)).sum(axis=1, dtype=np.uint16)
    factors = half.view("<f2").astype(np.float32)[:, None]
    return _ternary(factors, _threes(words), blocks[:, :32] | (more & 7) << 8, more >> 3)


def _lattice(factors: Array, s: Array, q: Array) -> SuperBlocks:
    return SuperBlocks(factors, (2 * s + 1).astype(np.int8), q.reshape(len(q), -1))


def _ternary(factors: Array, s: Array, index: Array, is_less: Array) -> SuperBlocks:
    """-1, 0 or 1, and 1/8 more or less in every eight: in eighths, -9..9."""
    points = 8 * grid("IQ1_S")[index] + 1 - 2 * is_less.astype(np.int8)[..., None]
    return _lattice(factors / 8, s, points)


def _word_signs(words: Array) -> Array:
    """The lower 28 bits of each: 4 x 8 signs.  (n, 8) -> (n, 8, 4, 8)"""
    return np.asarray(_EVEN_SIGNS[words[..., None] >> np.arange(0, 28, 7, dtype=np.uint32) & 127])


def _signs(packed: Array) -> Array:
    return np.asarray(1 - 2 * planes(packed, 1, 1).astype(np.int8))


def _threes(words: Array) -> Array:
    """The lower 12 bits of each: four numbers of three.  (n, m) -> (n, 4m)"""
    threes = words[..., None] >> np.arange(0, 12, 3, dtype=np.uint16) & 7
    return np.asarray(threes.reshape(len(words), -1))


def _half(blocks: Array, at: int) -> Array:
    return f16_at(blocks, at)


def _words(packed: Array, dtype: str) -> Array:
    return np.ascontiguousarray(packed).view(dtype)

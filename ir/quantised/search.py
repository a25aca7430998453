"""Float32 rows to Q4_K, Q6_K and Q8_0: scales are searched, not taken from the largest value.

A largest value that falls between two numbers costs the others of its group precision, so a few
scales around it are tried.  For each, all values are rounded; of Q4_K and Q6_K then the scale (and
minimum) that fits the rounded best is found by weighted least squares.  The one with the least
error stays.  What is tried of these, and weights that favour large values, are llama.cpp's
(make_qkx2_quants, make_qx_quants in ggml-quants.c).

Of Q8_0 finer scales are all but equal to one another, unless values lie a step apart: those of a
model that was quantised before it was published.  Then one of them is near all of these at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.quantised.k_quants import pack_q4_k, pack_q6_k
from inferflux.ir.quantised.legacy import pack_q8_0

_CHUNK = 1 << 16  # values at a time: what is searched stays in the cache
_MORE_4 = [step / 5 for step in range(-5, 6)]  # numbers than 15 over the span
_MORE_6 = [step * 0.3 for step in range(-3, 4)]  # than 32 up to the value furthest from 0
_MOST_8 = np.arange(127, 63, -1, dtype=np.float32)  # what the value furthest from 0 may become


def quantise_q4_k(blocks: Array) -> Array:
    """(n, 256) float32 to (n, 144): 32 columns have a scale and a minimum of 6 bit."""
    return _search(_chunk_q4_k, blocks)


def quantise_q6_k(blocks: Array) -> Array:
    """(n, 256) float32 to (n, 210): 16 columns have a scale of 8 bit."""
    return _search(_chunk_q6_k, blocks)


def quantise_q8_0(blocks: Array) -> Array:
    """(n, 32) float32 to (n, 34): 32 columns have a scale in f16."""
    return _search(_chunk_q8_0, blocks)


def _search(quantise: Callable[[Array], Array], blocks: Array) -> Array:
    """Of every chunk, on all cores: NumPy holds no lock while it computes."""
    count = _CHUNK // blocks.shape[1]
    chunks = [blocks[start : start + count] for start in range(0, len(blocks), count)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(quantise, chunks)))


def _chunk_q4_k(blocks: Array) -> Array:
    x = blocks.reshape(-1, 8, 32)
    scales, depths = _span(x, np.abs(x) + _rms(x), 15)  # (n, 8)
    scale, scales = _integers(scales, 63)
    depth, depths = _integers(depths, 63)
    steps, lows = (scale * scales)[..., None], (depth * depths)[..., None]
    q = np.clip(np.rint(_divide(x + lows, steps)), 0, 15).astype(np.uint8)
    return pack_q4_k(
        scale, depth, scales.astype(np.uint8), depths.astype(np.uint8), q.reshape(-1, 256)
    )


def _chunk_q6_k(blocks: Array) -> Array:
    x = blocks.reshape(-1, 16, 16)
    scale, scales = _integers(_around(x, x * x, 32), 127)
    q = np.clip(np.rint(_divide(x, (scale * scales)[..., None])), -32, 31).astype(np.int8)
    return pack_q6_k(scale, scales.astype(np.int8), q.reshape(-1, 256))


def _chunk_q8_0(blocks: Array) -> Array:
    """All scales are tried on a few columns, and those that do best there on all of them."""
    x = np.ascontiguousarray(blocks.T)  # (32, n): a block is a column, whose sums are of vectors
    scales = _half(np.abs(x).max(axis=0) / _MOST_8[:, None])  # (64, n)
    errors = np.stack([_error_q8_0(x[::4], scale) for scale in scales])
    likely = np.take_along_axis(scales, np.argpartition(errors, 3, axis=0)[:3], axis=0)
    errors = np.stack([_error_q8_0(x, scale) for scale in likely])
    scale = np.take_along_axis(likely, errors.argmin(axis=0)[None], axis=0)[0]
    q = _rounded_q8_0(x, scale).astype(np.int8)
    return pack_q8_0(scale[:, None], np.ascontiguousarray(q.T))


def _error_q8_0(x: Array, scale: Array) -> Array:
    errors = _rounded_q8_0(x, scale)
    errors *= scale
    errors -= x
    errors *= errors
    return np.asarray(errors.sum(axis=0))


def _rounded_q8_0(x: Array, scale: Array) -> Array:
    q = x * _divide(1, scale)
    np.rint(q, out=q)
    return np.clip(q, -127, 127, out=q)


def _span(x: Array, weights: Array, most: int) -> tuple[Array, Array]:
    """Scales and depths of x = scale * q - depth, q 0..most; depths are not negative."""
    high = x.max(axis=-1, keepdims=True)
    sum_w, sum_x = weights.sum(axis=-1), _dot(weights, x)
    best = np.full(x.shape[:-1], np.inf, np.float32)
    best_low = np.minimum(x.min(axis=-1), 0)
    best_scale = (high[..., 0] - best_low) / np.float32(most)
    for more in _MORE_4:
        low = best_low[..., None]  # where the best so far has it
        q = np.clip(np.rint((x - low) * _divide(most + more, high - low)), 0, most)
        wq = weights * q
        sum_q, sum_qq, sum_xq = wq.sum(axis=-1), _dot(wq, q), _dot(wq, x)
        determinant = sum_w * sum_qq - sum_q * sum_q
        scale = _divide(sum_w * sum_xq - sum_x * sum_q, determinant)
        least = _divide(sum_qq * sum_x - sum_q * sum_xq, determinant)
        above = least > 0  # a minimum above 0 has no place: then it is 0
        scale, least = np.where(above, _divide(sum_xq, sum_qq), scale), np.where(above, 0, least)
        errors = scale[..., None] * q + least[..., None] - x
        error = _dot(weights * errors, errors)
        better = (error < best) & (determinant > 0)  # it is 0 where all values are one
        best = np.where(better, error, best)
        best_scale, best_low = (
            np.where(better, scale, best_scale),
            np.where(better, least, best_low),
        )
    return best_scale, -best_low


def _around(x: Array, weights: Array, half: int) -> Array:
    """Scales of x = scale * q, q -half..half - 1: the value furthest from 0 becomes about -half."""
    furthest = np.take_along_axis(x, np.abs(x).argmax(axis=-1)[..., None], axis=-1)
    wx = weights * x
    best = best_scale = np.zeros(x.shape[:-1], np.float32)
    for more in _MORE_6:
        q = np.clip(np.rint(x * _divide(-(half + more), furthest)), -half, half - 1)
        sum_xq, sum_qq = _dot(wx, q), _dot(weights * q, q)
        gain = _divide(sum_xq * sum_xq, sum_qq)  # what the error is less than without any scale
        better = gain > best
        best, best_scale = (
            np.where(better, gain, best),
            np.where(better, _divide(sum_xq, sum_qq), best_scale),
        )
    return best_scale


def _integers(scales: Array, most: int) -> tuple[Array, Array]:
    """A half for the block, and integers up to ``most`` in magnitude.  -> (n, 1), (n, groups)"""
    furthest = np.take_along_axis(scales, np.abs(scales).argmax(axis=-1)[..., None], axis=-1)
    half = _half(furthest / np.float32(most))
    return half, np.clip(np.rint(_divide(scales, half)), -most, most)


def _half(numbers: Array) -> Array:
    """As a block stores them."""
    return numbers.astype(np.float16).astype(np.float32)


def _divide(a: Array | float, b: Array) -> Array:
    """a / b, and 0 where b is 0."""
    b = np.asarray(b, np.float32)
    shape = np.broadcast_shapes(np.shape(a), b.shape)
    return np.asarray(np.divide(a, b, out=np.zeros(shape, np.float32), where=b != 0))


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(np.einsum("...c,...c->...", a, b))


def _rms(x: Array) -> Array:
    return np.asarray(np.sqrt(np.mean(x * x, axis=-1, keepdims=True)))

"""Packed weights hold what the file holds: unpacked here, they are the dequantised tensor."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import BF16, BLOCKS, F16, F32, Q4_1, Q8_0
from inferflux.kernels.formats import FORMATS
from inferflux.kernels.linear.layouts import pack_panels, packed_bytes, pair_order


def stored(dtype, rows, columns):
    random = np.random.default_rng(rows)
    if dtype.is_quantised:  # any bytes are blocks
        return random.integers(0, 256, rows * columns // dtype.block * dtype.block_bytes, np.uint8)
    return quantise(random.normal(0, 1, (rows, columns)).astype(np.float32), dtype).reshape(-1)


def unpacked(packed, dtype, columns):
    """Panels to rows, lane by lane as ``formats`` describes them."""
    form = FORMATS[dtype.name]
    if not dtype.is_quantised:
        plain = dequantise(packed, dtype, (packed.size // dtype.block_bytes,))
        return plain.reshape(-1, columns, 16).transpose(0, 2, 1).reshape(-1, columns)
    together = packed.reshape(-1, columns // form.stored_columns, form.nbytes)
    if form.is_nested:
        scales, minima = nested_scales(together[..., : form.head_bytes], form)
        lines = together[..., form.head_bytes :].reshape(len(together), -1, form.line_bytes)
    else:
        scales, minima = scales_behind(together[..., form.line_bytes :], form)
        lines = together[..., : form.line_bytes]
    numbers = np.repeat(scales, form.columns, axis=-1) * (integers(lines, form) - form.offset)
    if minima is not None:
        numbers = numbers + np.repeat(minima, form.columns, axis=-1)
    return numbers.transpose(0, 2, 1, 3).reshape(-1, columns)


def integers(lines, form):
    """(panel, block, bytes) -> (panel, block, lane, 32), as large as they are stored."""
    lines = lines.reshape(*lines.shape[:2], -1, 16, 4)
    groups = []
    for group in range(8):
        part, line = divmod(group, form.planes[0])
        q = lines[:, :, line] >> (part * form.planes[0]) & (2 ** form.planes[0] - 1)
        if len(form.planes) > 1:
            low, high = form.planes
            which, within = divmod(line, low // high)
            upper = lines[:, :, low + which] >> (part * low + within * high) & (2**high - 1)
            q = q | upper << low
        groups.append(np.array(form.table)[q] if form.table else q)
    return np.concatenate(groups, axis=-1).astype(np.float32)


def scales_behind(tail, form):
    """(panel, block, bytes) -> scales and minima (panel, block, lane, 1)"""
    if form.scale == "e8m0":
        return 2 ** (tail[..., None].astype(np.float32) - 128), None
    halves = np.ascontiguousarray(tail).view(np.float16).astype(np.float32)
    parts = halves.reshape(*halves.shape[:2], -1, 16, 1)
    return parts[:, :, 0], parts[:, :, 1] if form.has_minimum else None


def nested_scales(head, form):
    """(panel, super-block, bytes) -> scales and minima (panel, block, lane, halves)"""
    factors = np.ascontiguousarray(head[..., : form.factor_bytes]).view(np.float16)
    factors = factors.astype(np.float32).reshape(*head.shape[:2], -1, 1, 1, 16)
    small = np.ascontiguousarray(head[..., form.factor_bytes :])
    small = small.reshape(*head.shape[:2], 8, -1, form.halves, 16)  # ..., scales and minima
    if form.scale == "u4":
        small = np.concatenate([small & 15, small >> 4], axis=3)
    small = small.view(np.int8).astype(np.float32)
    products = [factors[:, :, each] * small[:, :, :, each] for each in range(factors.shape[2])]
    blocks = [each.reshape(len(head), -1, form.halves, 16).swapaxes(2, 3) for each in products]
    return blocks[0], blocks[1] if form.has_minimum else None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # some scales are infinite
@pytest.mark.parametrize(
    ("dtype", "rows", "columns"),
    [
        (F32, 17, 5),
        (F16, 16, 33),
        (F16, 1, 1),
        (BF16, 17, 33),
        (Q8_0, 16, 32),
        *((dtype, rows, 3 * dtype.block) for dtype in BLOCKS for rows in (17, 33)),
    ],
)
def test_panels_hold_every_row_and_zeros_behind_the_last(dtype, rows, columns):
    raw = stored(dtype, rows, columns)
    packed = pack_panels(raw, dtype, rows, columns, None)
    assert packed.nbytes == packed_bytes(dtype, rows, columns)
    got = unpacked(packed, dtype, columns)
    np.testing.assert_array_equal(got[:rows], dequantise(raw, dtype, (rows, columns)))
    np.testing.assert_array_equal(got[rows:], 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_are_packed_in_the_order_that_is_asked_for():
    raw = stored(Q4_1, 64, 32)
    order = pair_order(64, 32, "adjacent")
    got = unpacked(pack_panels(raw, Q4_1, 64, 32, order), Q4_1, 32)
    np.testing.assert_array_equal(got, dequantise(raw, Q4_1, (64, 32))[order])


@pytest.mark.parametrize("head_dim", [32, 64, 96, 128])
@pytest.mark.parametrize("pairs", ["adjacent", "halves"])
def test_pairs_lie_sixteen_firsts_then_their_sixteen_partners(head_dim, pairs):
    order = pair_order(3 * head_dim, head_dim, pairs)
    assert sorted(order) == list(range(3 * head_dim))
    first, second = order.reshape(-1, 2, 16).transpose(1, 0, 2).reshape(2, -1)
    distance = 1 if pairs == "adjacent" else head_dim // 2
    np.testing.assert_array_equal(second, first + distance)
    heads = np.arange(3).repeat(head_dim // 2)
    np.testing.assert_array_equal(first // head_dim, heads)

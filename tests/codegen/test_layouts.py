"""Packed weights hold what the file holds: unpacked here, they are the dequantised tensor."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import BF16, F16, F32, Q4_0, Q4_1, Q8_0
from inferflux.kernels.linear.layouts import (
    BLOCK_BYTES,
    pack_panels,
    packed_bytes,
    pair_order,
)

OFFSET = {Q4_0: 8, Q4_1: 0, Q8_0: 128}  # what a stored integer is too large by


def stored(dtype, rows, columns):
    values = np.random.default_rng(rows).normal(0, 1, (rows, columns)).astype(np.float32)
    return quantise(values, dtype).reshape(-1)


def unpacked(packed, dtype, columns):
    """Panels to rows, read lane by lane as the description in ``layouts`` says."""
    if not dtype.is_quantised:
        plain = dequantise(packed, dtype, (packed.size // dtype.block_bytes,))
        return plain.reshape(-1, columns, 16).transpose(0, 2, 1).reshape(-1, columns)
    blocks = packed.reshape(-1, columns // 32, BLOCK_BYTES[dtype.name])
    groups = 8 if dtype == Q8_0 else 4
    quads = blocks[..., : groups * 64].reshape(*blocks.shape[:2], groups, 16, 4)
    if dtype != Q8_0:
        quads = np.concatenate([quads & 15, quads >> 4], axis=2)
    numbers = quads.transpose(0, 3, 1, 2, 4).astype(np.float32)  # panel, lane, block, group, 4
    numbers = numbers.reshape(len(blocks), 16, -1, 32) - OFFSET[dtype]
    halves = np.ascontiguousarray(blocks[..., groups * 64 :]).view(np.float16).astype(np.float32)
    halves = halves.reshape(*blocks.shape[:2], -1, 16).transpose(2, 0, 3, 1)[..., None]
    minimum = halves[1] if dtype == Q4_1 else 0
    return (numbers * halves[0] + minimum).reshape(-1, columns)


@pytest.mark.parametrize(
    ("dtype", "rows", "columns"),
    [
        (F32, 17, 5),
        (F16, 16, 33),
        (F16, 1, 1),
        (BF16, 17, 33),
        (Q4_0, 40, 96),
        (Q4_0, 16, 32),
        (Q4_1, 40, 96),
        (Q8_0, 33, 64),
        (Q8_0, 16, 32),
    ],
)
def test_panels_hold_every_row_and_zeros_behind_the_last(dtype, rows, columns):
    raw = stored(dtype, rows, columns)
    packed = pack_panels(raw, dtype, rows, columns, None)
    assert packed.nbytes == packed_bytes(dtype, rows, columns)
    got = unpacked(packed, dtype, columns)
    np.testing.assert_array_equal(got[:rows], dequantise(raw, dtype, (rows, columns)))
    np.testing.assert_array_equal(got[rows:], 0)


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

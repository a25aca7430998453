"""Philox against the known answers of Random123, its reference implementation."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir.ops.philox import philox4x32, uniform

KNOWN_ANSWERS = [  # Random123, tests/kat_vectors, philox4x32 10
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text):
    return np.array([int(word, 16) for word in text.split()], np.uint32)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    assert philox4x32(words(counter), words(key)).tolist() == words(answer).tolist()


def test_counters_and_keys_are_drawn_side_by_side():
    counters, keys, answers = (
        np.stack([words(each[column]) for each in KNOWN_ANSWERS]) for column in range(3)
    )
    np.testing.assert_array_equal(philox4x32(counters, keys), answers)


def test_uniform_takes_the_seed_as_key_and_the_position_as_counter():
    seeds = np.array([0x299F31D0_A4093822], np.uint64)
    (word,) = philox4x32(np.array([[9, 0, 0, 0]]), words("a4093822 299f31d0"))[:, 0]
    assert uniform(seeds, np.array([9], np.int32)).tolist() == [(int(word) >> 8) / 2**24]


def test_uniform_fills_zero_to_one_evenly():
    drawn = uniform(np.arange(20_000, dtype=np.uint64), np.zeros(20_000, np.int32))
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() < drawn.max() < 1
    counts, _ = np.histogram(drawn, bins=10, range=(0, 1))
    assert np.all(abs(counts - 2000) < 200)

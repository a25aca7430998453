"""Vocabularies of any size."""

from __future__ import annotations

import pytest

from inferflux.bench.synth import SHAPES
from inferflux.bench.synth.vocabulary import make_vocabulary
from inferflux.errors import InvalidArgument


@pytest.mark.parametrize("size", sorted({shape.vocab_size for shape in SHAPES.values()}))
def test_tokens_are_distinct_and_every_merge_makes_one_of_two(size: int) -> None:
    made = make_vocabulary(size)
    known = set(made.tokens)
    assert len(made.tokens) == len(known) == size
    for merge in made.merges:
        left, right = merge.split(" ")
        assert {left, right, left + right} <= known


def test_the_smallest_has_only_bytes() -> None:
    assert make_vocabulary(259).merges == ()


@pytest.mark.parametrize("size", [258, 1_000_000])
def test_a_size_that_cannot_be_made_is_refused(size: int) -> None:
    with pytest.raises(InvalidArgument, match=str(size)):
        make_vocabulary(size)

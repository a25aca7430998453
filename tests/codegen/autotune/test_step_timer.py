"""Whole steps that are timed: any variant takes any number of tokens, decoded or of a prompt."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.cli.step_timer import DECODE, DEPTH, StepTimer, _inputs

TARGET = "cpu:portable"


def test_every_variant_takes_any_number_of_tokens(tiny_model):
    timer = StepTimer(tiny_model(TARGET, row_blocks=(1, 4)).compiled, TARGET, 2)
    for variant in (0, 1):
        for num_tokens in (1, 5, DECODE, DECODE + 1, 512):
            assert timer(variant, num_tokens) > 0


@pytest.mark.parametrize("num_tokens", [1, 7, DECODE])
def test_few_tokens_are_one_each_of_as_many_sequences(num_tokens):
    inputs = _inputs(num_tokens, 1, 320)
    np.testing.assert_array_equal(inputs.positions, DEPTH)
    np.testing.assert_array_equal(inputs.logit_rows, range(num_tokens))
    assert len(set(inputs.slot_mapping[0])) == num_tokens, "in pages of their own"
    assert len(np.unique(inputs.page_tables[0])) == inputs.page_tables[0].size


def test_many_tokens_are_a_prompt_that_wants_one_row_of_logits():
    inputs = _inputs(DECODE + 1, 2, 320)
    np.testing.assert_array_equal(inputs.positions, range(DECODE + 1))
    np.testing.assert_array_equal(inputs.sequence_starts, [0, DECODE + 1])
    np.testing.assert_array_equal(inputs.logit_rows, [DECODE])
    assert len(inputs.slot_mapping) == 2

"""Tiny models of every architecture, written by transformers: our logits are its own.

One of them: ``pytest -m oracle tests/oracle/test_architectures.py -k "gemma2 and not other"``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from inferflux.ir import frontend, passes
from inferflux.ir.frontend import ModelSource
from tiny import steps
from tiny.cases import PROMPTS, SCHEDULES, TOLERANCE, Case, of_entries
from tiny.entries import Entry

pytestmark = pytest.mark.oracle

CaseOf = Callable[[Entry], Case]


@of_entries()
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_directory_computes_what_transformers_computes(
    case_of: CaseOf, entry: Entry, schedule: str
) -> None:
    case = case_of(entry)
    check(frontend.open(case.folder), SCHEDULES[schedule], case.logits)


@of_entries(has_gguf=True)
def test_a_gguf_computes_the_same(case_of: CaseOf, entry: Entry) -> None:
    case = case_of(entry)
    check(frontend.open(case.gguf), SCHEDULES["whole"], case.logits)


@of_entries()
def test_passes_keep_it(case_of: CaseOf, entry: Entry) -> None:
    case = case_of(entry)
    check(frontend.open(case.folder), SCHEDULES["batched"], case.logits, is_lowered=True)


def check(
    source: ModelSource,
    schedule: list[steps.Step],
    expected: tuple[np.ndarray, ...],
    is_lowered: bool = False,
) -> None:
    graph = frontend.build(source)
    if is_lowered:
        graph = passes.run(graph, numerics="float32", verify=True)
    found = steps.Decoding(graph, source.tensors, PROMPTS).run(schedule)
    for logits, right in zip(found, expected, strict=True):
        if len(logits):
            np.testing.assert_allclose(logits, right, atol=TOLERANCE, rtol=0)

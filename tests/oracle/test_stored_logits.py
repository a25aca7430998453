"""The logits that are kept are what transformers computes today; ``--accept`` keeps others."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from tiny import stored
from tiny.cases import Case
from tiny.entries import ENTRIES, Entry

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", stored.NAMES)
def test_what_is_kept_is_what_transformers_computes(
    request: pytest.FixtureRequest, case_of: Callable[[Entry], Case], name: str
) -> None:
    """Another machine sums in another order, so not bit by bit."""
    computed = stored.Stored.of(case_of(ENTRIES[name]))
    if request.config.getoption("--accept"):
        computed.save(name)
    kept = stored.load(name)
    assert json.loads(kept.config) == json.loads(computed.config)
    assert kept.shapes == computed.shapes
    np.testing.assert_allclose(kept.logits, computed.logits, atol=2e-5, rtol=0)


def test_an_entry_of_every_model_type_is_kept() -> None:
    kept = {ENTRIES[name].model_type for name in stored.NAMES}
    assert kept == {entry.model_type for entry in ENTRIES.values()}

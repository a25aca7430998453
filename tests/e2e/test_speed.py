"""Speeds as ratios of one another, in processor time of one worker: no machine's pace is in them.

A batch that is computed row by row, a prompt token by token, a context converted anew for every
head: each is right, each is slow, and each fails here.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inferflux import engine
from inferflux.bench.measures import Decode, Measure, Prefill
from inferflux.bench.protocol import Bench
from inferflux.engine.config import EngineConfig

ROUNDS = 3
ONE = Decode(streams=1, depth=128, steps=8)
# tokens a second against those of one stream, at least; half to two thirds of what was measured
GUARDED = {
    "4 streams": (Decode(streams=4, depth=128, steps=4), 1.7),
    "16 streams": (Decode(streams=16, depth=128, steps=2), 2.0),
    "a prompt of 256": (Prefill(256), 2.5),
    "depth 2048": (Decode(streams=1, depth=2048, steps=4), 0.3),
}


@pytest.fixture(scope="module")
def bench(compiled_default: Callable[..., Path]) -> Bench:
    config = EngineConfig(compiled_default(), num_workers=1, max_sequences=16, chunk_tokens=256)
    loaded = engine.load(config)
    return Bench(loaded, vocab_size=49152, chunk_tokens=256, clock=time.process_time)


@pytest.mark.parametrize("name", GUARDED)
def test_work_that_is_shared_costs_less(bench: Bench, name: str) -> None:
    measure, least = GUARDED[name]
    ratios = [faster(bench, measure) for _ in range(ROUNDS)]
    assert statistics.median(ratios) >= least, ratios


def faster(bench: Bench, measure: Measure) -> float:
    """Against one stream, which is measured before and after: a machine changes its pace."""
    before, found, after = bench.run(ONE), bench.run(measure), bench.run(ONE)
    return found / ((before + after) / 2)

"""A small model's phases, and records made up for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferflux.codegen.autotune.record import Record, TuningKey
from inferflux.codegen.autotune.table import DeviceFacts, Table
from inferflux.ir import frontend, passes
from inferflux.ir.graph import Graph

DEVICE = DeviceFacts("AMD EPYC 9R14", 2)


@pytest.fixture(scope="session")
def small_model(tiny_gguf: Callable[..., Path]) -> Path:
    """Two layers of one kind and a head, wide enough to be cut in several ways."""
    return tiny_gguf(hidden=128, heads=4, kv_heads=2, intermediate=256)


@pytest.fixture(scope="session")
def fused(small_model: Path) -> Graph:
    return passes.run(frontend.build(frontend.open(small_model)))


@pytest.fixture
def record_of() -> Callable[..., Record]:
    """``record_of(key, schedule)``: a record that says so."""

    def make(key: TuningKey, schedule: dict[str, int], **found: Any) -> Record:
        facts = {"num_tokens": 4, "num_candidates": 7, "num_measurements": 9}
        times = {"median_us": 20.25, "spread": 0.012, "default_us": 24.5}
        return Record(key=key, schedule=schedule, **{**facts, **times, **found})

    return make


@pytest.fixture
def table_of() -> Callable[..., Table]:
    def make(*records: Record, target: str = "cpu:portable") -> Table:
        return Table(target, DEVICE, {record.key.place: record for record in records})

    return make

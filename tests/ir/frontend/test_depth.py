"""Graphs do not grow with depth: 48 layers print hardly more lines than 12, and none is long."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.ir import frontend, passes
from tiny import stored
from tiny.cases import of_entries
from tiny.depth import write_deep
from tiny.entries import Entry

MAX_LINES = 250
MAX_GROWTH = 1.2  # of lists of layers that take turns, in lines of their own
SHAPES = (  # every way in which layers take turns
    "llama",
    "qwen2-window",
    "qwen3-moe",
    "smollm3",
    "gemma2",
    "gemma3-linear",
    "gpt-oss-yarn",
    "deepseek-v3-yarn",
)


@of_entries(*SHAPES)
def test_graphs_of_any_depth_are_as_long(tmp_path: Path, entry: Entry) -> None:
    check(entry, tmp_path)


@pytest.mark.oracle
@of_entries(*sorted({*stored.NAMES} - {*SHAPES}))
def test_graphs_of_any_depth_are_as_long_of_all_others(tmp_path: Path, entry: Entry) -> None:
    check(entry, tmp_path)


def check(entry: Entry, folder: Path) -> None:
    kept = stored.load(entry.name)
    shallow, deep = (num_lines(kept, count, folder / str(count)) for count in (12, 48))
    assert deep <= MAX_GROWTH * shallow
    assert deep <= MAX_LINES


def num_lines(kept: stored.Stored, num_layers: int, folder: Path) -> int:
    source = frontend.open(write_deep(folder, kept, num_layers))
    return len(str(passes.run(frontend.build(source))).splitlines())

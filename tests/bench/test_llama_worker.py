"""What llama.cpp's side of a comparison prepares, without llama.cpp."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

FLASH, PLAIN = ({"flash_attention": flash, "unified_kv": True} for flash in (True, False))
SPLIT = {"flash_attention": True, "unified_kv": False}
Prepare = Callable[[dict[str, int], dict[str, bool]], None]


@pytest.fixture
def log() -> list[str]:
    """What was made, filled and freed."""
    return []


@pytest.fixture
def prepare(log: list[str], monkeypatch: pytest.MonkeyPatch) -> Prepare:
    binding = types.ModuleType("llama_cpp")
    binding.llama_free = lambda context: log.append(f"free {context}")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llama_cpp", binding)
    monkeypatch.delitem(sys.modules, "inferflux.bench.peers.llama_worker", raising=False)
    worker = importlib.import_module("inferflux.bench.peers.llama_worker")

    class Peer(worker.Peer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.asked, self.contexts, self.context = {}, {}, None

        def _new_context(self, streams: int, length: int, setting: dict[str, bool]) -> Any:
            number = sum(line.startswith("make") for line in log) + 1
            log.append(f"make {number} of {streams} x {length}")
            return number

        def _fill(self, stream: int, num_tokens: int) -> None:
            log.append(f"fill {stream} with {num_tokens}")

        def run(self) -> float:
            log.append(f"run {self.context}")
            return 1.0

    prepare: Prepare = Peer().prepare
    return prepare


def test_a_setting_that_was_tried_is_not_filled_again(prepare: Prepare, log: list[str]) -> None:
    asked = {"streams": 1, "depth": 7936, "steps": 4}
    for setting in (FLASH, PLAIN, FLASH):
        prepare(asked, setting)
    assert log == [
        *("make 1 of 1 x 7940", "fill 0 with 7936", "run 1"),
        *("make 2 of 1 x 7940", "fill 0 with 7936", "run 2"),
        "run 1",
    ]


def test_two_contexts_at_most_are_held(prepare: Prepare, log: list[str]) -> None:
    asked = {"streams": 2, "depth": 8, "steps": 4}
    for setting in (FLASH, PLAIN, FLASH, SPLIT):
        prepare(asked, setting)
    assert [line for line in log if line.startswith("free")] == ["free 2"]


def test_another_measure_has_contexts_of_its_own(prepare: Prepare, log: list[str]) -> None:
    prepare({"prefill": 8}, FLASH)
    prepare({"prefill": 16}, FLASH)
    assert log == ["make 1 of 1 x 8", "run 1", "free 1", "make 2 of 1 x 16", "run 2"]

"""EngineConfig refuses what no engine can do, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.engine.config import EngineConfig
from inferflux.errors import InvalidArgument


def test_the_defaults_are_sound():
    assert EngineConfig(Path("a.ifx")).max_open == 32 + 128


@pytest.mark.parametrize(
    ("name", "value"),
    [("kv_bytes", 0), ("max_sequences", 0), ("max_waiting", -1), ("num_workers", 0)],
)
def test_a_value_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(InvalidArgument, match=f"{name} is {value}"):
        EngineConfig(Path("a.ifx"), **{name: value})


def test_a_step_must_have_room_for_prompts_beside_all_decodes():
    with pytest.raises(InvalidArgument, match="chunk_tokens is 32, max_sequences 32"):
        EngineConfig(Path("a.ifx"), chunk_tokens=32)

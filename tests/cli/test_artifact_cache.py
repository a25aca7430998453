"""Slots of the artifact cache: found by key, explained on a miss, superseded by a new toolchain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inferflux.cli.artifact_cache import Slot
from inferflux.codegen.keys import CacheKey, cache_key

KEY = cache_key("s1", ["cpu:portable"], "default", "tvm: 1")


def filled(folder: Path, key: CacheKey) -> Slot:
    slot = Slot(folder, key)
    folder.mkdir(exist_ok=True)
    slot.artifact.write_bytes(b"artifact")
    slot.record()
    return slot


def test_every_factor_has_its_own_slot(tmp_path: Path) -> None:
    keys = [replace(KEY, **{name: "other"}) for name in KEY.factors]
    assert len({Slot(tmp_path, key).artifact for key in (KEY, *keys)}) == 1 + len(keys)


def test_a_first_build_has_nothing_to_explain(tmp_path: Path) -> None:
    assert Slot(tmp_path, KEY).explain_miss() is None


def test_a_miss_names_the_factor_that_differs_from_the_closest_build(tmp_path: Path) -> None:
    filled(tmp_path, replace(KEY, source="s2", numerics="float32"))
    filled(tmp_path, replace(KEY, numerics="float32"))
    explained = Slot(tmp_path, KEY).explain_miss()
    assert explained == "numerics changed: 'float32' -> 'default'"


def test_a_new_toolchain_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    old = filled(tmp_path, KEY)
    new = filled(tmp_path, replace(KEY, toolchain="tvm: 2"))
    assert not old.artifact.exists()
    assert new.artifact.exists()


@pytest.mark.parametrize("factor", ["source", "targets", "numerics"])
def test_a_build_that_was_asked_for_otherwise_stays(tmp_path: Path, factor: str) -> None:
    kept = filled(tmp_path, KEY)
    filled(tmp_path, replace(KEY, **{factor: "other"}))
    filled(tmp_path, replace(KEY, **{factor: "other", "toolchain": "tvm: 2"}))
    assert kept.artifact.exists()


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff\xff"])
def test_a_damaged_record_costs_only_the_explanation(tmp_path: Path, damage: bytes) -> None:
    slot = filled(tmp_path, KEY)
    slot.artifact.with_suffix(".json").write_bytes(damage)
    assert Slot(tmp_path, replace(KEY, numerics="float32")).explain_miss() is None

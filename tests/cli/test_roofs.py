"""Roofs are measured once and kept; the best seen counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.cli import roofs
from inferflux.codegen.roofline.roofs import Roofs, quick_roofs
from inferflux.codegen.targets import TARGETS

TARGET = TARGETS["cpu:portable"]


@pytest.fixture
def measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes were read, for each measurement; each finds another machine."""
    asked: list[int] = []

    def measure(target: object, device: object, read_bytes: int) -> Roofs:
        asked.append(read_bytes)
        number = float(len(asked))
        return Roofs(10.0 - number, {"f32": number})

    monkeypatch.setattr(roofs, "quick_roofs", measure)
    return asked


def test_models_of_a_size_share_what_was_measured(measured: list[int]) -> None:
    for nbytes in (1, 17 << 20, 31 << 20, 1 << 40):
        roofs.roofs_of_this_machine(TARGET, 2, nbytes)
    assert measured == [16 << 20, 32 << 20, 256 << 20]


def test_measured_again_the_higher_of_each_is_kept(measured: list[int]) -> None:
    assert roofs.roofs_of_this_machine(TARGET, 2, 1) == Roofs(9.0, {"f32": 1.0})
    assert roofs.roofs_of_this_machine(TARGET, 2, 1, again=True) == Roofs(9.0, {"f32": 2.0})
    assert roofs.roofs_of_this_machine(TARGET, 2, 1) == Roofs(9.0, {"f32": 2.0})


def test_another_number_of_workers_is_another_machine(measured: list[int]) -> None:
    roofs.roofs_of_this_machine(TARGET, 1, 1)
    roofs.roofs_of_this_machine(TARGET, 2, 1)
    assert len(measured) == 2


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"a": 1}', b'{"a": {"read": "x"}}'])
def test_a_damaged_file_is_measured_anew(measured: list[int], cache: Path, damage: bytes) -> None:
    cache.mkdir()
    (cache / "roofs.json").write_bytes(damage)
    assert roofs.roofs_of_this_machine(TARGET, 2, 1).read == 9.0


def test_this_machine_has_roofs() -> None:
    from inferflux.cli.build import best_target
    from inferflux.cli.device import ThisMachine

    target = TARGETS[best_target()]
    found = quick_roofs(target, ThisMachine(1), 1 << 20)
    assert found.read > 1e8
    assert set(found.computing) >= {"i8x32", "f32"}

"""Phases below their roofs."""

from __future__ import annotations

import pytest

from inferflux.bench.roofline import PhaseFigure, RoofFigures

ROOFS = RoofFigures(read=40e9, computing={"i8x32": 400e9, "f32": 100e9})


def phase(seconds: float, arithmetic: str) -> PhaseFigure:
    return PhaseFigure("linear", 4, 1, seconds, 1_000_000, 4_000_000, arithmetic)


def test_a_share_is_what_is_reached_of_each_roof() -> None:
    reading, computing = phase(1e-4, "i8x32").shares(ROOFS)  # 10 GB/s, 40 GMAC/s
    assert reading == pytest.approx(0.25)
    assert computing == pytest.approx(0.1)


def test_products_of_floats_are_held_against_the_roof_of_floats() -> None:
    measured = phase(1e-4, "f32")
    assert measured.shares(ROOFS)[1] == pytest.approx(0.4)
    assert measured.bound(ROOFS) == "computing"
    assert phase(1e-4, "i8x32").bound(ROOFS) == "reading"

"""Sizes and counts as people write them."""

from __future__ import annotations

import pytest
import typer

from inferflux.cli.sizes import Counts, format_size, parse_counts, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256MB", 256 << 20),
        ("256 mib", 256 << 20),
        ("1.5g", 3 << 29),
        ("4096", 4096),
        ("12B", 12),
        ("2TB", 2 << 40),
    ],
)
def test_a_size_may_be_written_in_any_of_the_usual_ways(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "0", "1e9", "12XB", "nan", "2000TB", "1 2MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_size(text)


def test_counts_are_read_in_the_order_given() -> None:
    assert parse_counts("16, 1,4") == Counts((16, 1, 4))
    assert parse_counts("") == Counts()


@pytest.mark.parametrize("text", ["0", "1,-2", "1;2", "x", "1.5"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_counts(text)


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KB"),
        (98_362_432, "93.8 MB"),
        (1 << 50, "1024.0 TB"),
    ],
)
def test_a_size_is_shown_in_the_largest_unit_it_fills(num_bytes: int, text: str) -> None:
    assert format_size(num_bytes) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5 H", 5400), ("0.5s", 0.5)]
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1m", "0", "5d", "1e9", "nan", "5m30s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_duration(text)

"""Sizes, counts and durations as people write them: 256MB, 1,4,16, 5m."""

from __future__ import annotations

import re
from collections.abc import Mapping

import typer

# MB is 2**20 here, as for memory everywhere in this project; MiB says the same.
_FACTORS: Mapping[str, int] = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_LARGEST = 1 << 50
_SECONDS: Mapping[str, int] = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*([smh]?)", re.IGNORECASE)


class Counts(tuple[int, ...]):
    """Several counts that one option takes, printed as it is written: ``1,4,16``."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


def parse_size(text: str | int) -> int:
    """``"256MB"`` is 268435456.  A Typer parser: refuses as usage errors do, is given defaults."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no size; write for example 256MB or 1GiB")
    size = int(float(match[1]) * _FACTORS[match[2].lower()])
    if not 0 < size <= _LARGEST:
        raise typer.BadParameter(f"{text!r} is {size} bytes; it must be 1 byte to 1024 TB")
    return size


def parse_counts(text: str | Counts) -> Counts:
    """``"1,4,8"`` is (1, 4, 8); an empty text is no counts at all."""
    if isinstance(text, Counts):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r} is no list of counts; write for example 1,4,16")
    return Counts(int(part) for part in parts)


def parse_duration(text: str | float) -> float:
    """``"5m"`` is 300.0 seconds; a number without a unit is seconds."""
    if isinstance(text, float):
        return text
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no duration; write for example 90s, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2].lower()]


def format_size(num_bytes: int) -> str:
    """93.7 MB, with one decimal from a kilobyte up."""
    size, unit = float(num_bytes), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            break
        size /= 1024
    return f"{num_bytes} B" if unit == "B" else f"{size:.1f} {unit}"

"""Lists that options of `inferflux bench` take: rates, and numbers of streams with depths."""

from __future__ import annotations

import math

import typer


class Rates(tuple[float, ...]):
    """Several rates that one option takes, printed as they are written: ``0.5,2``."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(f"{rate:g}" for rate in self)


def parse_rates(text: str | Rates) -> Rates:
    """``"0.5,2"`` is (0.5, 2.0); an empty text is no rates at all."""
    if isinstance(text, Rates):
        return text
    try:
        rates = Rates(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        rates = Rates((0.0,))
    if not all(0 < rate < math.inf for rate in rates):
        raise typer.BadParameter(f"{text!r} is no list of rates; write for example 0.5,2")
    return rates


class StreamCounts(tuple[tuple[int, int | None], ...]):
    """Numbers of streams, each with its depth if it has one of its own: ``1,4,1@7936``."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(
            f"{count}" if depth is None else f"{count}@{depth}" for count, depth in self
        )


def parse_streams(text: str | StreamCounts) -> StreamCounts:
    """``"1,4,1@7936"``: 1 and 4 streams at every depth, and 1 at a depth of 7936."""
    if isinstance(text, StreamCounts):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return StreamCounts(map(_parse_streams, parts))


def _parse_streams(part: str) -> tuple[int, int | None]:
    count, at, depth = part.partition("@")
    numbers = [count, depth] if at else [count]
    if not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise typer.BadParameter(f"{part!r} is no number of streams; write for example 4 or 4@2048")
    return int(count), int(depth) if at else None

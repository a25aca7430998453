"""Attributes and names of file tensors as text, and back; runs are written short.

``0*30`` is thirty zeros, ``0..29`` counts up, ``0..28:2`` does by twos;
``"blk.{0..2,5}.attn_q.weight"`` is four tensors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from inferflux.ir.graph import Attr, Stacked

MIN_RUN = 3  # a shorter run is not worth its notation
MAX_RUN = 1 << 16  # a longer one is no model's, but a text that wants to fill the memory
_NUMBERED = re.compile(r"([^0-9]*)(0|[1-9][0-9]{0,8})(?![0-9])(.*)", re.DOTALL)
_RANGES = re.compile(r"\{([0-9.:,]+)\}")


def attr_pieces(name: str, attr: Attr) -> list[str]:
    """``name=value``, in pieces between which a line may break."""
    if not isinstance(attr, tuple) or not attr:
        return [f"{name}={attr_text(attr)}"]
    entries = list(_runs(attr))
    pieces = [f"{entry}," for entry in entries[:-1]] + [f"{entries[-1]})"]
    return [f"{name}=({pieces[0]}", *pieces[1:]]


def attr_text(attr: Attr) -> str:
    if isinstance(attr, tuple):
        return f"({', '.join(_runs(attr))})"
    if isinstance(attr, str):
        return json.dumps(attr)
    if attr is None or isinstance(attr, bool):
        return str(attr).lower()
    return str(attr) if isinstance(attr, Stacked) else repr(attr)


def sources_pieces(sources: Sequence[str]) -> list[str]:
    """Quoted names, neighbours that differ only in their first number as one, joined by ``+``."""
    quoted: list[str] = []
    for (before, after), group in groupby(sources, key=_around_number):
        names = list(group)
        if after is None or len(names) == 1:
            quoted += [f'"{_escape(name)}"' for name in names]
        else:
            numbers = [int(name[len(before) : len(name) - len(after)]) for name in names]
            ranges = ",".join(_ascending(numbers))
            quoted.append(f'"{_escape(before)}{{{ranges}}}{_escape(after)}"')
    return [f"{text} +" for text in quoted[:-1]] + quoted[-1:]


def expand_sources(quoted: str) -> list[str]:
    """The names that one quoted text of ``sources_pieces`` stands for."""
    found = _RANGES.search(quoted)
    if not found:
        return [json.loads(quoted)]
    before, after = quoted[: found.start()], quoted[found.end() :]
    return [json.loads(f"{before}{number}{after}") for number in _expand(found[1])]


def ascending(first: int, last: int, step: int = 1) -> range:
    """What ``first..last:step`` stands for.  Raises ValueError if nothing of ours wrote it."""
    if not 0 <= last - first < MAX_RUN:
        raise ValueError(f"{first}..{last} is not a run of at most {MAX_RUN}")
    if step < 1 or (last - first) % step:
        raise ValueError(f"{first}..{last} has no step of {step}")
    return range(first, last + 1, step)


def _runs(attrs: Sequence[Attr]) -> Iterator[str]:
    """Entries of a tuple; runs of ascending and of equal ones are written short."""
    for text, group in groupby(_ascending(attrs)):
        count = len(list(group))
        yield from [f"{text}*{count}"] if count >= MIN_RUN else [text] * count


def _ascending(attrs: Sequence[Attr]) -> Iterator[str]:
    at = 0
    while at < len(attrs):
        step = _step(attrs[at : at + 2])
        end = at + 1
        while step and _step(attrs[end - 1 : end + 1]) == step:
            end += 1
        if end - at >= MIN_RUN:
            yield f"{attrs[at]}..{attrs[end - 1]}{f':{step}' if step > 1 else ''}"
            at = end
        else:
            yield attr_text(attrs[at])
            at += 1


def _step(neighbours: Sequence[Attr]) -> int:
    """How much more the second of two natural numbers is; 0 if it is not (a boolean is none)."""
    match neighbours:
        case [int(first), int(second)] if bool not in map(type, neighbours) and 0 <= first < second:
            return second - first
        case _:
            return 0


def _around_number(source: str) -> tuple[str, str | None]:
    """What stands before and after the first number, if it has the one form a number has."""
    found = _NUMBERED.fullmatch(source)
    return (found[1], found[3]) if found else (source, None)


def _escape(text: str) -> str:
    """As inside JSON's quotes; braces too, for they are notation here."""
    return json.dumps(text)[1:-1].replace("{", r"\u007b")


def _expand(ranges: str) -> Iterator[int]:
    for part in ranges.split(","):
        first, _, rest = part.partition("..")
        last, _, step = rest.partition(":")
        yield from ascending(int(first), int(last or first), int(step or 1))

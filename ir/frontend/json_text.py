"""JSON as model files hold it: no key twice, no value that costs much, a place for every member."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from inferflux.ir.frontend.limits import MAX_JSON_MEMORY
from inferflux.ir.frontend.source import ModelFileError

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_CONTAINER, _STRING, _NUMBER, _SLOT = 72, 56, 32, 8  # bytes that Python keeps a value in


class _Invalid(ValueError):
    """The text breaks a rule at a character of it, or at one that is not known."""

    def __init__(self, problem: str, at: int | None = None) -> None:
        self.problem, self.at = problem, at
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object, and where in the file the values of its members stand, by dotted path."""

    values: dict[str, Any]
    places: dict[str, int] = field(repr=False)


def read_object(path: Path, raw: bytes, what: str, base: int = 0, depth: int = 1) -> JsonObject:
    """Read the text of one object, which is ``what`` of the file and starts at byte ``base``.

    Members are placed down to ``depth``.  Raises ModelFileError for what is not RFC 8259, and for
    keys that stand twice, NaN and its like, lone surrogates, and values that would take more memory
    than a text of this size may ask for.
    """
    text = ""
    try:
        text = raw.decode()
        _check_memory(text)
        return _read(text, base, depth)
    except UnicodeDecodeError as error:
        raise ModelFileError(
            path, what, base + error.start, f"is not UTF-8: {error.reason}"
        ) from None
    except RecursionError:
        raise ModelFileError(path, what, base, "is nested too deeply to be read") from None
    except json.JSONDecodeError as error:
        at = base + len(text[: error.pos].encode())
        raise ModelFileError(path, what, at, f"is not JSON: {error.msg}") from None
    except _Invalid as error:
        at = base + len(text[: error.at or 0].encode())
        raise ModelFileError(path, what, at, error.problem) from None
    except ValueError as error:  # a number of thousands of digits
        raise ModelFileError(path, what, base, f"is not JSON: {error}") from None


def _check_memory(text: str) -> None:
    """Count before anything is made: ``[],[],...`` would take thirty times its own size."""
    containers = text.count("[") + text.count("{")
    strings, keys = text.count('"') // 2, text.count(":")
    elements = text.count(",") + containers
    numbers = max(0, elements + keys - strings - containers)
    cost = _CONTAINER * containers + _STRING * strings + _NUMBER * numbers + _SLOT * elements
    if cost > MAX_JSON_MEMORY + 3 * len(text):
        raise _Invalid(f"would take {cost} bytes of memory, which a text of {len(text)} may not", 0)


def _read(text: str, base: int, depth: int) -> JsonObject:
    places: dict[str, int] = {}
    values, end = _read_members(text, _skip(text, 0), (), depth, places)
    if (end := _skip(text, end)) != len(text):
        raise _Invalid("goes on after its end", end)
    if _SURROGATE.search(text):
        _check_surrogates(values)
    return JsonObject(values, dict(_bytes_before(text, base, places)))


def _read_members(
    text: str, at: int, path: Sequence[str], depth: int, places: dict[str, int]
) -> tuple[dict[str, Any], int]:
    """The object that starts at ``at``, and the end of it; ``places`` gets its members."""
    if text[at : at + 1] != "{":
        raise _Invalid("is not an object", at)
    values: dict[str, Any] = {}
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return values, at + 1
    while True:
        key, start = _read_key(text, at, values)
        places[".".join((*path, key))] = start
        if depth > 1 and text[start : start + 1] == "{":
            values[key], at = _read_members(text, start, (*path, key), depth - 1, places)
        else:
            values[key], at = _read_value(text, start, key)
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return values, at + 1
        if text[at : at + 1] != ",":
            raise _Invalid("is not JSON: expected a comma or a closing brace", at)
        at = _skip(text, at + 1)


def _read_value(text: str, at: int, key: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except _Invalid as error:
        raise _Invalid(f"{error.problem}, in {key!r}", at) from None


def _read_key(text: str, at: int, values: dict[str, Any]) -> tuple[str, int]:
    """A key that is not in ``values``, and where its value starts."""
    if text[at : at + 1] != '"':
        raise _Invalid("is not JSON: expected a key", at)
    key, end = _DECODER.raw_decode(text, at)
    if key in values:
        raise _Invalid(f"has {key!r} twice", at)
    end = _skip(text, end)
    if text[end : end + 1] != ":":
        raise _Invalid("is not JSON: expected a colon", end)
    return key, _skip(text, end + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None, "nothing matches it too"
    return found.end()


def _without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(members)
    if len(values) != len(members):
        (twice, _), *_ = Counter(key for key, _ in members).most_common(1)
        raise _Invalid(f"has {twice!r} twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise _Invalid(f"holds {name}, which JSON has not")


def _check_surrogates(values: dict[str, Any]) -> None:
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _Invalid("has a string with half a surrogate pair") from None


def _bytes_before(text: str, base: int, places: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Places in characters, which rise, as places in bytes."""
    if text.isascii():
        yield from ((key, base + at) for key, at in places.items())
        return
    seen, counted = 0, base
    for key, at in places.items():
        counted += len(text[seen:at].encode())
        seen = at
        yield key, counted


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)

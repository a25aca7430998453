"""Splits the text of a graph into tokens that know their line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inferflux.errors import InferFluxError

_PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<value>%[A-Za-z0-9_.]+)
      | (?P<type>[a-z][a-z0-9_]*\[[^\]]*\](?:@[a-z0-9_.]+)?)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<stacked>@[A-Za-z0-9_]+)
      | (?P<float>-?(?:\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+|inf\b|nan\b))
      | (?P<int>-?\d+)
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<mark>\.\.|[(),:=*+])""",
    re.VERBOSE,
)


class ParseError(InferFluxError):
    """A text is not a graph as ir.print writes it."""

    code = "invalid_graph_text"


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    line: int


def tokens(text: str) -> Iterator[Token]:
    """Every token of ``text``, then one of kind ``end``."""
    at, line = 0, 1
    while at < len(text):
        found = _PATTERN.match(text, at)
        if not found:
            raise ParseError(f"line {line}: {text[at : at + 20]!r} is not part of a graph's text")
        if found.lastgroup and found.lastgroup != "space":
            yield Token(found.lastgroup, found[0], line)
        line += found[0].count("\n")
        at = found.end()
    yield Token("end", "", line)

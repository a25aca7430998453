"""Keeps what users write from becoming control tokens when a chat template puts it in its text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from inferflux.errors import InvalidArgument

MARKERS: Final = tuple(map(chr, range(0xFDD0, 0xFDF0)))  # Unicode's noncharacters: not for text


class ContentGuard:
    """Breaks every control token that a text spells, by a marker after its first character.

    The template carries the marker along; ``Tokenizer.encode(marker=...)`` takes it out once the
    control tokens that the template wrote are recognised, so the model reads what the user wrote.
    What a text's end may begin is broken too: a template may put another text behind it.
    """

    def __init__(self, special_tokens: Iterable[str]) -> None:
        self._tokens = tuple(special_tokens)
        self._longest = max(map(len, self._tokens), default=0)
        firsts = {re.escape(token[0]) for token in self._tokens}
        self._first = re.compile("|".join(sorted(firsts)) or "(?!)")

    def protect(self, message: Mapping[str, object], marker: str) -> dict[str, object]:
        """``message``, of JSON's types, with all strings in it marked."""
        items = message.items()
        return {self._mark(key, marker): self._protect(value, marker) for key, value in items}

    def _protect(self, value: object, marker: str) -> object:
        match value:
            case str():
                return self._mark(value, marker)
            case dict():
                return self.protect(value, marker)
            case list() | tuple():
                return [self._protect(item, marker) for item in value]
            case _:
                return value

    def _mark(self, text: str, marker: str) -> str:
        end = len(text.rstrip())  # templates trim

        def marked(first: re.Match[str]) -> str:
            return first[0] + marker if self._opens_token(text, first.start(), end) else first[0]

        return self._first.sub(marked, text)

    def _opens_token(self, text: str, start: int, end: int) -> bool:
        if text.startswith(self._tokens, start):
            return True
        is_near_end = end - start < self._longest
        return is_near_end and any(token.startswith(text[start:end]) for token in self._tokens)


def unused_marker(texts: str) -> str:
    """A marker that stands nowhere in ``texts``."""
    for marker in MARKERS:
        if marker not in texts:
            return marker
    raise InvalidArgument(
        "the messages contain every one of Unicode's noncharacters U+FDD0 to U+FDEF; remove one"
    )

"""Finds tokens that stand in a text as they are spelled, before anything else happens to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import tokenizers
from tokenizers import AddedToken
from tokenizers.models import WordLevel

_GAP = "\0"  # the one word of a model that knows no text


@dataclass(frozen=True, slots=True)
class Gap:
    """Text between whole tokens."""

    text: str
    is_first: bool  # nothing stands before it


class WholeTokens:
    """A set of tokens: of several at one place the longest is found, of others the first."""

    def __init__(self, tokens: Mapping[str, int], flags: Mapping[int, Iterable[str]]) -> None:
        """``flags`` of a token id: "left", "right": it takes the spaces there; "word" it is."""
        self._ids = [*tokens.values()]
        firsts = {re.escape(token[0]) for token in tokens}
        spaced = any({"left"} & {*each} for each in flags.values())
        self._may_hold = re.compile("" if spaced else f"[{''.join(firsts)}]" if firsts else "(?!)")
        self._finder = tokenizers.Tokenizer(WordLevel({_GAP: 0}, unk_token=_GAP))
        self._finder.add_tokens([_added(token, flags.get(at, ())) for token, at in tokens.items()])

    def cut(self, text: str) -> list[int | Gap]:
        """Token ids, and what stands between them."""
        if not text:
            return []
        if not self._may_hold.search(text):
            return [Gap(text, is_first=True)]
        found = self._finder.encode_batch([text], add_special_tokens=False)[0]
        return [
            self._ids[token - 1] if token else Gap(text[start:end], is_first=start == 0)
            for token, (start, end) in zip(found.ids, found.offsets, strict=True)
        ]


def _added(token: str, flags: Iterable[str]) -> AddedToken:
    return AddedToken(
        token,
        lstrip="left" in flags,
        rstrip="right" in flags,
        single_word="word" in flags,
        normalized=False,
    )

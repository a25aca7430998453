"""Tokens to text while they arrive, never half a character."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from inferflux.text.tokenizer import Tokenizer

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Detokeniser:
    """The text of one sequence.  All it has given, joined, is ``Tokenizer.decode`` of all tokens.

    A character whose bytes are spread over tokens is given when its last byte is there; bytes that
    can no longer become a character are given as U+FFFD.  Unless ``is_start``, the tokens go on
    after a prompt, and a space before the first is the text's own.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, skip_special: bool = True, is_start: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._drops_space = is_start and tokenizer.puts_space_first
        self._decoder = _Utf8Decoder(errors="replace")

    def push(self, tokens: Iterable[int]) -> str:
        """The characters that ``tokens`` complete."""
        return "".join(self._decoder.decode(self._bytes_of(token)) for token in tokens)

    def finish(self) -> str:
        """U+FFFD if the sequence ends within a character."""
        return self._decoder.decode(b"", final=True)

    def _bytes_of(self, token: int) -> bytes:
        spelled = self._tokenizer.token_bytes(token, skip_special=self._skip_special)
        if not self._drops_space or not spelled:
            return spelled
        self._drops_space = False
        return spelled.removeprefix(b" ")

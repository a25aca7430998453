"""Text to token ids and back, as the model was trained: byte-level BPE built from stored facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import cached_property
from typing import Final

import tokenizers
from tokenizers.models import BPE

from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.errors import InferFluxError, InvalidArgument
from inferflux.text.alphabet import token_bytes
from inferflux.text.pretokenizers import UnsupportedTokenizer, pre_tokenizer

MAX_TEXT_BYTES: Final = 4 << 20  # about 2 s of one core


class TokenType(IntEnum):
    """GGUF's types of token."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class InvalidTokenizer(InferFluxError):
    """The tokenizer's facts contradict each other."""

    code = "invalid_tokenizer"


class TokenizerFailed(InferFluxError):
    """The tokenizer's native code failed on a text."""

    code = "tokenizer_failed"


class Tokenizer:
    """Byte-level BPE.  Threads may share it."""

    def __init__(
        self,
        facts: TokenizerFacts,
        *,
        max_text_bytes: int = MAX_TEXT_BYTES,
        is_prepared: bool = True,
    ) -> None:
        """Unless ``is_prepared``, the first text prepares it, or ``prepare`` before that."""
        _check(facts)
        self.max_text_bytes = max_text_bytes
        self.eos_token_ids = facts.eos_token_ids
        self.special_tokens = _tokens_of(facts, TokenType.CONTROL, TokenType.UNKNOWN)
        self.special_token_ids = frozenset(self.special_tokens.values())
        user_defined = _tokens_of(facts, TokenType.USER_DEFINED)
        self._whole_tokens = self.special_tokens | user_defined
        self._user_defined_pattern = _pattern(user_defined)
        self._whole_pattern = _pattern(self._whole_tokens)
        self._bos = facts.bos_token_id if facts.add_bos else None
        self._facts = facts
        self._tokens, self._types = facts.tokens, facts.token_types
        if is_prepared:
            self.prepare()

    def prepare(self) -> None:
        """Build what text is encoded with, once.  Raises InvalidTokenizer."""
        _ = self._bpe

    @cached_property
    def _bpe(self) -> tokenizers.Tokenizer:
        return _build_bpe(self._facts)

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def encode(self, text: str, *, special: bool, marker: str = "") -> list[int]:
        """Token ids of ``text``, after one BOS token if the model wants it.

        With ``special``, text that spells a control token becomes that token: right for what a chat
        template wrote, wrong for what a user wrote.  ``marker`` is a character that was put between
        a user's characters to keep the two apart (``inferflux.text.guard``); it yields no token.
        Bytes for which the vocabulary has no token are left out, as the model's own tokenizer does.
        """
        _check_text(text, self.max_text_bytes)
        pattern = self._whole_pattern if special else self._user_defined_pattern
        ids: list[int] = []
        for index, part in enumerate(pattern.split(text)):
            if index % 2:  # what the pattern's one group caught: a whole token
                ids.append(self._whole_tokens[part])
            else:
                ids += self._merge(part.replace(marker, ""))
        return ids if self._bos is None or ids[:1] == [self._bos] else [self._bos, *ids]

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """The text of ``ids``; bytes that are no UTF-8 become U+FFFD."""
        parts = (self.token_bytes(token, skip_special=skip_special) for token in ids)
        return b"".join(parts).decode(errors="replace")

    def token_bytes(self, token: int, *, skip_special: bool = False) -> bytes:
        """The bytes a token stands for; a control token's are its name, or none if skipped."""
        if not 0 <= token < self.vocab_size:
            raise InvalidArgument(f"token id {token} is not in the vocabulary of {self.vocab_size}")
        if skip_special and token in self.special_token_ids:
            return b""
        spelled = self._tokens[token]
        return token_bytes(spelled) if self._types[token] == TokenType.NORMAL else spelled.encode()

    def _merge(self, text: str) -> list[int]:
        if not text:
            return []
        with _native(TokenizerFailed, f"text of {len(text)} characters could not be tokenized"):
            ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
            return ids


def _build_bpe(facts: TokenizerFacts) -> tokenizers.Tokenizer:
    """Knows no special tokens: those are cut out before, so that no text can smuggle one in."""
    vocabulary = dict(zip(facts.tokens, range(len(facts.tokens)), strict=True))
    merges = [*map(_split_merge, facts.merges)]
    with _native(InvalidTokenizer, "vocabulary and merges do not fit together"):
        bpe = tokenizers.Tokenizer(BPE(vocab=vocabulary, merges=merges))
    bpe.pre_tokenizer = pre_tokenizer(facts.pre)
    return bpe


def _split_merge(merge: str) -> tuple[str, str]:
    left, space, right = merge.partition(" ")
    if not (left and space and right) or " " in right:
        raise InvalidTokenizer(f"merge {merge!r} is not two tokens with one space between them")
    return left, right


def _tokens_of(facts: TokenizerFacts, *types: TokenType) -> dict[str, int]:
    """Those that are of one of the types, and not empty."""
    wanted = frozenset(map(int, types))  # enums compare slowly, and a vocabulary is long
    found = [at for at, kind in enumerate(facts.token_types) if kind in wanted]
    return {facts.tokens[at]: at for at in found if facts.tokens[at]}


def _pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    """One group that catches any of ``tokens``, the longest first; of none: what never matches."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")


def _check(facts: TokenizerFacts) -> None:
    if facts.kind != "bpe":
        raise UnsupportedTokenizer(f"tokenizer {facts.kind!r} is not supported; supported is: bpe")
    if facts.add_space_prefix:
        raise UnsupportedTokenizer(
            "a byte-level BPE that adds a space before text is not supported"
        )
    if TokenType.BYTE in facts.token_types:
        at = facts.token_types.index(TokenType.BYTE)
        raise UnsupportedTokenizer(f"token {at} is a byte token, which byte-level BPE has none of")
    if len(facts.tokens) != len(facts.token_types):
        counts = f"{len(facts.tokens)} tokens but {len(facts.token_types)} token types"
        raise InvalidTokenizer(f"the tokenizer has {counts}")
    if facts.bos_token_id is not None and not 0 <= facts.bos_token_id < len(facts.tokens):
        raise InvalidTokenizer(f"BOS token {facts.bos_token_id} is not in the vocabulary")


def _check_text(text: str, max_bytes: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        where = f"character {error.start} is a lone surrogate"
        raise InvalidArgument(f"text is not valid Unicode: {where}") from None
    if size > max_bytes:
        raise InvalidArgument(f"text of {size} bytes is over the limit of {max_bytes}")


@contextmanager
def _native(error: type[InferFluxError], what: str) -> Iterator[None]:
    """Turn what Rust raises into ``error``: its panics are no ``Exception``, and kill threads."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as failure:
        raise error(f"{what}: {failure}") from failure

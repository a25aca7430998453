"""Text to token ids and back, as the model was trained: built from stored facts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Final

from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.errors import InferFluxError, InvalidArgument
from inferflux.text.alphabet import byte_of, spaced_bytes, token_bytes
from inferflux.text.encoders import Encoder, InvalidTokenizer, encoder_of, native
from inferflux.text.steps import UnsupportedTokenizer
from inferflux.text.token_types import TokenType, tokens_of
from inferflux.text.whole_tokens import Gap, WholeTokens

MAX_TEXT_BYTES: Final = 4 << 20  # about 2 s of one core
_SCORED: Final = ("sentencepiece", "unigram", "pipeline_unigram")


class TokenizerFailed(InferFluxError):
    """The tokenizer's native code failed on a text."""

    code = "tokenizer_failed"


class Tokenizer:
    """Whole tokens, and an encoder for what stands between them.  Threads may share it."""

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
        self.special_tokens = tokens_of(facts, TokenType.CONTROL, TokenType.UNKNOWN)
        self.special_token_ids = frozenset(self.special_tokens.values())
        self._bos = facts.bos_token_id if facts.add_bos else None
        self._last = facts.last_token_id
        self._facts = facts
        self._tokens, self._types = facts.tokens, facts.token_types
        if is_prepared:
            self.prepare()

    def prepare(self) -> None:
        """Build what text is encoded with, once.  Raises InvalidTokenizer."""
        _ = self._encoder, self._user_defined, self._whole

    @cached_property
    def _encoder(self) -> Encoder:
        return encoder_of(self._facts)

    @cached_property
    def _user_defined(self) -> WholeTokens:
        return WholeTokens(self._user_defined_tokens(), self._flags())

    @cached_property
    def _whole(self) -> WholeTokens:
        return WholeTokens(self.special_tokens | self._user_defined_tokens(), self._flags())

    def _user_defined_tokens(self) -> dict[str, int]:
        """Without those that are looked for in the text that the encoder's first steps give."""
        found = tokens_of(self._facts, TokenType.USER_DEFINED)
        flags = self._flags()
        return {text: at for text, at in found.items() if "normalised" not in flags.get(at, ())}

    def _flags(self) -> dict[int, tuple[str, ...]]:
        return {each.token_id: each.flags for each in self._facts.stripping}

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def encode(self, text: str, *, special: bool, marker: str = "") -> list[int]:
        """Token ids of ``text``, after one BOS token if the model wants it.

        With ``special``, text that spells a control token becomes that token: right for what a chat
        template wrote, wrong for what a user wrote.  ``marker`` is a character that was put between
        a user's characters to keep the two apart (``inferflux.text.guard``); it yields no token.
        Where the model wants a token after a text, text with a marker has none: a template wrote
        it, and an answer follows.
        Bytes for which the vocabulary has no token are left out, as the model's own tokenizer does.
        """
        _check_text(text, self.max_text_bytes)
        whole = self._whole if special else self._user_defined
        with native(TokenizerFailed, f"text of {len(text)} characters could not be tokenized"):
            ids = self._join(whole.cut(text), marker)
        if self._bos is not None and ids[:1] != [self._bos]:
            ids.insert(0, self._bos)
        if self._last is not None and not marker and ids[-1:] != [self._last]:
            ids.append(self._last)
        return ids

    def _join(self, parts: list[int | Gap], marker: str) -> list[int]:
        gaps = [part for part in parts if isinstance(part, Gap)]
        if marker:
            gaps = [Gap(gap.text.replace(marker, ""), gap.is_first) for gap in gaps]
        encoded = iter(self._encoder.encode(gaps))
        ids: list[int] = []
        for part in parts:
            if isinstance(part, Gap):
                ids += next(encoded)
            else:
                ids.append(part)
        return ids

    def decode(
        self, ids: Iterable[int], *, skip_special: bool = True, is_start: bool = True
    ) -> str:
        """The text of ``ids``; bytes that are no UTF-8 become U+FFFD.

        Unless ``is_start``, another text stands before it, so a first space is the text's own.
        """
        parts = (self.token_bytes(token, skip_special=skip_special) for token in ids)
        text = b"".join(parts).decode(errors="replace")
        return text.removeprefix(" ") if is_start and self.puts_space_first else text

    @property
    def puts_space_first(self) -> bool:
        """Whether a text's tokens begin with a space that the text has not."""
        return self._facts.add_space_prefix or self._facts.kind == "wordpiece"

    def token_bytes(self, token: int, *, skip_special: bool = False) -> bytes:
        """The bytes a token stands for; a control token's are its name, or none if skipped."""
        if not 0 <= token < self.vocab_size:
            raise InvalidArgument(f"token id {token} is not in the vocabulary of {self.vocab_size}")
        if skip_special and token in self.special_token_ids:
            return b""
        spelled, kind = self._tokens[token], self._types[token]
        if self._facts.spelling == "byte_level":
            return token_bytes(spelled) if kind == TokenType.NORMAL else spelled.encode()
        if kind == TokenType.BYTE and (byte := byte_of(spelled)) is not None:
            return bytes((byte,))
        return spelled.encode() if token in self.special_token_ids else spaced_bytes(spelled)


def _check(facts: TokenizerFacts) -> None:
    if facts.spelling == "byte_level":
        _check_byte_level(facts)
    if len(facts.tokens) != len(facts.token_types):
        counts = f"{len(facts.tokens)} tokens but {len(facts.token_types)} token types"
        raise InvalidTokenizer(f"the tokenizer has {counts}")
    if facts.kind in _SCORED and len(facts.scores) != len(facts.tokens):
        counts = f"{len(facts.tokens)} tokens but {len(facts.scores)} scores"
        raise InvalidTokenizer(f"the tokenizer has {counts}")
    named = {
        "BOS": facts.bos_token_id,
        "last": facts.last_token_id,
        "unknown": facts.unknown_token_id,
    }
    for name, token in named.items():
        if token is not None and not 0 <= token < len(facts.tokens):
            raise InvalidTokenizer(f"{name} token {token} is not in the vocabulary")


def _check_byte_level(facts: TokenizerFacts) -> None:
    if facts.add_space_prefix:
        raise UnsupportedTokenizer(
            "a byte-level BPE that adds a space before text is not supported"
        )
    if TokenType.BYTE in facts.token_types:
        at = facts.token_types.index(TokenType.BYTE)
        raise UnsupportedTokenizer(f"token {at} is a byte token, which byte-level BPE has none of")
    if all(step.kind != "byte_level" for step in facts.cuts):
        raise InvalidTokenizer("tokens spell bytes, but no step turns a text into bytes")


def _check_text(text: str, max_bytes: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        where = f"character {error.start} is a lone surrogate"
        raise InvalidArgument(f"text is not valid Unicode: {where}") from None
    if size > max_bytes:
        raise InvalidArgument(f"text of {size} bytes is over the limit of {max_bytes}")

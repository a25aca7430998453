"""Text without whole tokens to token ids: an encoder a kind, by the library that defines it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import tokenizers
from tokenizers import AddedToken
from tokenizers.models import BPE, Model, Unigram, WordPiece

from inferflux.codegen.artifact.compiled import TextStep, TokenizerFacts
from inferflux.errors import InferFluxError
from inferflux.text.alphabet import SPACE
from inferflux.text.steps import UnsupportedTokenizer, cutter, normaliser, within
from inferflux.text.token_types import TokenType, tokens_of
from inferflux.text.whole_tokens import Gap


class InvalidTokenizer(InferFluxError):
    """The tokenizer's facts contradict each other."""

    code = "invalid_tokenizer"


class Encoder(Protocol):
    """Threads may share it; it works without the interpreter's lock."""

    def encode(self, gaps: Sequence[Gap]) -> list[list[int]]:
        """The token ids of each."""


def encoder_of(facts: TokenizerFacts) -> Encoder:
    """Knows no special tokens: those are cut out before, so that no text can smuggle one in."""
    match facts.kind:
        case "bpe":
            return Pipeline(_byte_pairs(facts), facts)
        case "pipeline_unigram":
            return Pipeline(_unigram(facts), facts)
        case "wordpiece":
            return Pipeline(_word_pieces(facts), facts, (TextStep("bert"),))
        case "sentencepiece" | "unigram":
            from inferflux.text.sentencepieces import SentencePieces

            with native(InvalidTokenizer, "the vocabulary is not SentencePiece's"):
                return SentencePieces(facts)
        case _:
            supported = "bpe, sentencepiece, unigram, pipeline_unigram, wordpiece"
            raise UnsupportedTokenizer(
                f"tokenizer {facts.kind!r} is not supported; supported are: {supported}"
            )


class Pipeline:
    """Steps that rewrite and cut a text, and a model for the parts."""

    def __init__(
        self, model: Model, facts: TokenizerFacts, cuts: tuple[TextStep, ...] = ()
    ) -> None:
        cuts = cuts or facts.cuts
        self._first = _pipeline(model, facts, facts.normalisers, cuts)
        self._within = _pipeline(model, facts, within(facts.normalisers), within(cuts))

    def encode(self, gaps: Sequence[Gap]) -> list[list[int]]:
        firsts, others = gaps[:1], gaps[1:]
        if gaps and not gaps[0].is_first:
            firsts, others = (), gaps
        return [*_encode(self._first, firsts), *_encode(self._within, others)]


def _pipeline(
    model: Model,
    facts: TokenizerFacts,
    normalisers: Sequence[TextStep],
    cuts: Sequence[TextStep],
) -> tokenizers.Tokenizer:
    pipeline = tokenizers.Tokenizer(model)
    with native(InvalidTokenizer, "a step of the tokenizer cannot be built"):
        if (rewriting := normaliser(normalisers)) is not None:
            pipeline.normalizer = rewriting
        if (cutting := cutter(cuts)) is not None:
            pipeline.pre_tokenizer = cutting
    normalised = [each.token_id for each in facts.stripping if "normalised" in each.flags]
    pipeline.add_tokens([AddedToken(facts.tokens[at], normalized=True) for at in normalised])
    return pipeline


def _encode(pipeline: tokenizers.Tokenizer, gaps: Sequence[Gap]) -> list[list[int]]:
    if not gaps:
        return []
    # A batch, for encoding a single text would hold the interpreter's lock all the while.
    texts = [gap.text for gap in gaps]
    return [each.ids for each in pipeline.encode_batch_fast(texts, add_special_tokens=False)]


def _byte_pairs(facts: TokenizerFacts) -> Model:
    merges = [*map(_split_merge, facts.merges)]
    with native(InvalidTokenizer, "vocabulary and merges do not fit together"):
        vocabulary = _vocabulary(facts, merges)
        if facts.spelling == "byte_level":
            return BPE(vocab=vocabulary, merges=merges, ignore_merges=facts.ignore_merges)
        return BPE(
            vocab=vocabulary,
            merges=merges,
            ignore_merges=facts.ignore_merges,
            byte_fallback=True,
            fuse_unk=True,
            unk_token=_unknown(facts),
        )


def _vocabulary(facts: TokenizerFacts, merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Where a part may be any token, none of those that are not made by merges."""
    every = dict(zip(facts.tokens, range(len(facts.tokens)), strict=True))
    if not facts.ignore_merges:
        return every
    whole = tokens_of(facts, TokenType.CONTROL, TokenType.UNKNOWN, TokenType.USER_DEFINED)
    needed = {left + right for left, right in merges} | {part for pair in merges for part in pair}
    return {token: at for token, at in every.items() if token in needed or token not in whole}


def _split_merge(merge: str) -> tuple[str, str]:
    left, space, right = merge.partition(" ")
    if not (left and space and right) or " " in right:
        raise InvalidTokenizer(f"merge {merge!r} is not two tokens with one space between them")
    return left, right


def _word_pieces(facts: TokenizerFacts) -> Model:
    """A token that starts a word is spelled with a space before it; the others continue one."""
    unknown = _unknown(facts)
    if unknown is None:
        raise InvalidTokenizer("a WordPiece tokenizer needs an unknown token, and states none")
    whole = tokens_of(facts, TokenType.CONTROL, TokenType.UNKNOWN)
    pieces = {token: at for at, token in enumerate(facts.tokens) if token in whole} | {
        token[1:] if token.startswith(SPACE) else f"##{token}": at
        for at, token in enumerate(facts.tokens)
        if token not in whole
    }
    pieces.setdefault(unknown, facts.tokens.index(unknown))
    with native(InvalidTokenizer, "the vocabulary is not WordPiece's"):
        return WordPiece(pieces, unk_token=unknown, max_input_chars_per_word=100)


def _unigram(facts: TokenizerFacts) -> Model:
    """An empty piece is found nowhere: no text spells a control token, or a row without one."""
    kinds = (TokenType.CONTROL, TokenType.UNKNOWN, TokenType.UNUSED)
    nowhere = frozenset(tokens_of(facts, *kinds).values())
    bits = struct.pack(f"<{len(facts.scores)}I", *facts.scores)
    scores = struct.unpack(f"<{len(facts.scores)}f", bits)
    pieces = [
        ("" if at in nowhere else token, score)
        for at, (token, score) in enumerate(zip(facts.tokens, scores, strict=True))
    ]
    with native(InvalidTokenizer, "the vocabulary is not Unigram's"):
        return Unigram(pieces, facts.unknown_token_id, TokenType.BYTE in facts.token_types)


def _unknown(facts: TokenizerFacts) -> str | None:
    at = facts.unknown_token_id
    return None if at is None else facts.tokens[at]


@contextmanager
def native(error: type[InferFluxError], what: str) -> Iterator[None]:
    """Turn what native code raises into ``error``: Rust's panics are no ``Exception``."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, InferFluxError):
        raise
    except BaseException as failure:
        raise error(f"{what}: {failure}") from failure

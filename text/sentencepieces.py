"""A vocabulary with scores, encoded by SentencePiece itself: it gets the facts as a model."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sentencepiece import SentencePieceProcessor

from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.text.token_types import TokenType
from inferflux.text.whole_tokens import Gap

_MODEL_TYPES = {"unigram": 1, "sentencepiece": 2}  # UNIGRAM, BPE: sentencepiece_model.proto
_VARINT, _BYTES, _FIXED32 = 0, 2, 5  # wire types
_NONE = (1 << 64) - 1  # -1, of an id that is not used


class SentencePieces:
    """BPE by scores, or a unigram model, with bytes for what has no token."""

    def __init__(self, facts: TokenizerFacts) -> None:
        self._first = SentencePieceProcessor(model_proto=model_proto(facts))
        self._within = self._first
        if any(step.kind == "prefix_space" for step in facts.normalisers):
            without = replace(facts, add_space_prefix=False)
            self._within = SentencePieceProcessor(model_proto=model_proto(without))

    def encode(self, gaps: Sequence[Gap]) -> list[list[int]]:
        processors = (self._first if gap.is_first else self._within for gap in gaps)
        return [
            processor.encode(gap.text, out_type=int)
            for processor, gap in zip(processors, gaps, strict=True)
        ]


def model_proto(facts: TokenizerFacts) -> bytes:
    """The facts as a ModelProto."""
    unknown = facts.unknown_token_id or 0
    normalisers = {step.kind: step.pattern for step in facts.normalisers}
    trainer = (
        _number(3, _MODEL_TYPES[facts.kind]),
        _number(35, int(TokenType.BYTE in facts.token_types)),  # byte_fallback
        _number(40, unknown),
        *(_number(field, _NONE) for field in (41, 42, 43)),  # bos, eos, pad: whole tokens here
        _text(45, facts.tokens[unknown].encode()),
    )
    rewriting = (
        _text(2, b64decode(normalisers.get("charsmap", ""))),
        _number(3, int(facts.add_space_prefix)),
        _number(4, int("merge_spaces" in normalisers)),
        _number(5, 1),  # spaces are U+2581
    )
    specs = (_text(2, b"".join(trainer)), _text(3, b"".join(rewriting)))
    return b"".join((*_pieces(facts, unknown), *specs))


def _pieces(facts: TokenizerFacts, unknown: int) -> Iterator[bytes]:
    """One piece is unknown; others that a file calls so come from no text, like control tokens."""
    for at, (token, kind, score) in enumerate(
        zip(facts.tokens, facts.token_types, facts.scores, strict=True)
    ):
        if (kind == TokenType.UNKNOWN) != (at == unknown):
            kind = TokenType.UNKNOWN if at == unknown else TokenType.CONTROL
        number = _tag(2, _FIXED32) + struct.pack("<I", score)
        yield _text(1, _text(1, token.encode()) + number + _number(3, kind))


def _text(field: int, text: bytes) -> bytes:
    return _tag(field, _BYTES) + _varint(len(text)) + text


def _number(field: int, value: int) -> bytes:
    return _tag(field, _VARINT) + _varint(value)


def _tag(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)

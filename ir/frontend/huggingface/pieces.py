"""tokenizer.model: the pieces of a SentencePiece model and how it rewrites a text.

The format is protocol buffers' wire format, of the messages in SentencePiece's own
sentencepiece_model.proto: the numbers below are its field numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.wire import Message

_PIECES, _TRAINER, _NORMALISER, _DENORMALISER = 1, 2, 3, 5  # of ModelProto
_TEXT, _SCORE, _TYPE = 1, 2, 3  # of a piece
_NORMAL, _UNKNOWN, _BYTE = 1, 2, 6  # its types are GGUF's too
_NONE = (1 << 64) - 1  # -1
_KINDS = {1: "unigram", 2: "sentencepiece"}
_OTHER_KINDS = {3: "words", 4: "characters"}


@dataclass(frozen=True, slots=True)
class PieceModel:
    """What a tokenizer.model says; ids are None where it has no such token."""

    kind: str  # "sentencepiece" (BPE by scores) or "unigram"
    tokens: tuple[str, ...]
    scores: tuple[int, ...] = field(repr=False)  # the bits of a float32
    types: tuple[int, ...] = field(repr=False)
    unknown: int
    bos: int | None
    eos: int | None
    pad: int | None
    charsmap: bytes = field(repr=False)
    adds_space: bool
    merges_spaces: bool


def read_pieces(path: Path, raw: bytes) -> PieceModel:
    """Read and check.  Raises ModelFileError, UnsupportedModel for what is not reproduced."""
    message = Message.read(path, raw, "ModelProto", 0, len(raw))
    pieces = [_piece(each) for each in message.messages(_PIECES, "pieces")]
    if not 0 < len(pieces) <= MAX_SIZE:
        raise message.wrong("pieces", f"has {len(pieces)} entries, must have 1..{MAX_SIZE}")
    tokens, scores, types = zip(*pieces, strict=True)
    trainer = message.message(_TRAINER, "trainer_spec")
    normaliser = message.message(_NORMALISER, "normalizer_spec")
    if message.message(_DENORMALISER, "denormalizer_spec").bytes(2, "precompiled_charsmap"):
        raise message.unsupported("denormalizer_spec", "rewrites texts that are decoded")
    _check_whole(trainer, tokens, types)
    _check_spaces(trainer, normaliser)
    return PieceModel(
        kind=_kind(trainer),
        tokens=tokens,
        scores=scores,
        types=types,
        unknown=types.index(_UNKNOWN),
        bos=_token_id(trainer, 41, "bos_id", 1, len(tokens)),
        eos=_token_id(trainer, 42, "eos_id", 2, len(tokens)),
        pad=_token_id(trainer, 43, "pad_id", _NONE, len(tokens)),
        charsmap=normaliser.bytes(2, "precompiled_charsmap"),
        adds_space=normaliser.number(3, "add_dummy_prefix", 1) != 0,
        merges_spaces=normaliser.number(4, "remove_extra_whitespaces", 1) != 0,
    )


def _piece(message: Message) -> tuple[str, int, int]:
    try:
        text = message.bytes(_TEXT, "piece").decode()
    except UnicodeDecodeError as error:
        raise message.wrong("piece", f"is not UTF-8: {error.reason}") from None
    if not text:
        raise message.wrong("piece", "is empty")
    kind = message.number(_TYPE, "type", _NORMAL)
    if not _NORMAL <= kind <= _BYTE:
        raise message.wrong("type", f"is {kind}, must be {_NORMAL}..{_BYTE}")
    bits = message.fixed(_SCORE, "score")
    if bits & 0x7F800000 == 0x7F800000:
        raise message.wrong("score", "is not a finite number")
    return text, bits, kind


def _kind(trainer: Message) -> str:
    number = trainer.number(3, "model_type", 1)
    if number not in _KINDS:
        name = _OTHER_KINDS.get(number, str(number))
        raise trainer.unsupported("model_type", f"is of {name}; supported are: unigram, BPE")
    return _KINDS[number]


def _check_whole(trainer: Message, tokens: tuple[str, ...], types: tuple[int, ...]) -> None:
    if len(set(tokens)) != len(tokens):
        raise trainer.wrong("pieces", "has a piece twice, so its id is ambiguous")
    if types.count(_UNKNOWN) != 1:
        raise trainer.wrong(
            "pieces", f"has {types.count(_UNKNOWN)} pieces for what is unknown, must have 1"
        )
    if (_BYTE in types) != (trainer.number(35, "byte_fallback", 0) != 0):
        raise trainer.wrong(
            "byte_fallback", "and the types of pieces disagree on whether bytes have any"
        )


def _check_spaces(trainer: Message, normaliser: Message) -> None:
    if trainer.number(24, "treat_whitespace_as_suffix", 0):
        raise trainer.unsupported(
            "treat_whitespace_as_suffix", "is set: a space is put after words"
        )
    if not normaliser.number(5, "escape_whitespaces", 1):
        raise normaliser.unsupported(
            "escape_whitespaces", "is not set: spaces are not spelled U+2581"
        )


def _token_id(trainer: Message, number: int, name: str, default: int, most: int) -> int | None:
    """None: there is no such token, which is spelled as -1."""
    found = trainer.number(number, name, default)
    if found >= 1 << 31:
        return None
    if found >= most:
        raise trainer.wrong(name, f"is {found}, of {most} pieces")
    return found

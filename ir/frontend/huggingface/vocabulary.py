"""The tokens and merges of a tokenizer.json, every id with one token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inferflux.ir.frontend.facts import TokenFlags
from inferflux.ir.frontend.huggingface.added_tokens import AddedToken, listed
from inferflux.ir.frontend.huggingface.scored import read_scored
from inferflux.ir.frontend.typed import Fields

_NORMAL, _UNKNOWN, _UNUSED, _BYTE = 1, 2, 5, 6  # GGUF's types of token
_NEUTRAL: dict[str, tuple[object, ...]] = {  # of the model; another value merges otherwise
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, "", "##"),
    "end_of_word_suffix": (None, ""),
    "max_input_chars_per_word": (100,),
}
_APART = (
    *("type", "vocab", "merges", "unk_token", "unk_id"),
    *("fuse_unk", "byte_fallback", "ignore_merges"),
)
_SPACE = "\u2581"
_BYTE_NAMES = frozenset(f"<0x{byte:02X}>" for byte in range(256))
# The characters in which a byte-level vocabulary spells the 256 bytes.
_ALPHABET = frozenset(map(chr, (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144))))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens by id, as GGUF has them; ids that no token has are filled with unused ones."""

    kind: str  # "bpe", "wordpiece", ...: TokenizerMetadata's
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    flags: tuple[TokenFlags, ...]
    ids: Mapping[str, int] = field(repr=False)
    merges: tuple[str, ...] = ()
    scores: tuple[int, ...] = ()  # the bits of a float32
    ignore_merges: bool = False
    unknown: str | None = None


def read_vocabulary(fields: Fields, size: int) -> Vocabulary:
    """That of a tokenizer.json; ``size`` rows has the embedding, or more than there are tokens."""
    model = fields.values.get("model")
    if not isinstance(model, dict):
        raise fields.wrong("model", "is not an object")
    kind = _check_kind(fields, model)
    if kind == "pipeline_unigram":
        return _unigram(fields, model, size)
    ids = token_ids(fields, "model.vocab", model.get("vocab"))
    types = {token_id: _type_of(token, model) for token, token_id in ids.items()}
    found = vocabulary_of(fields, "model.vocab", kind, ids, types, (*listed(fields),), size)
    return replace(
        found,
        tokens=found.tokens if kind == "bpe" else _with_spaces(found),
        merges=() if kind == "wordpiece" else _merges(fields, model.get("merges"), found.ids),
        ignore_merges=model.get("ignore_merges") is True,
        unknown=model.get("unk_token"),
    )


def _unigram(fields: Fields, model: Mapping[str, Any], size: int) -> Vocabulary:
    pieces = read_scored(fields, model)
    ids = {token: at for at, token in enumerate(pieces.tokens)}
    unknown = None if pieces.unknown is None else pieces.tokens[pieces.unknown]
    types = {at: _type_of(token, {**model, "unk_token": unknown}) for token, at in ids.items()}
    found = vocabulary_of(
        fields, "model.vocab", "pipeline_unigram", ids, types, (*listed(fields),), size
    )
    return replace(found, scores=pieces.scores_of(size), unknown=unknown)


def vocabulary_of(
    fields: Fields,
    key: str,
    kind: str,
    ids: Mapping[str, int],
    types: Mapping[int, int],
    added: Iterable[AddedToken],
    size: int,
) -> Vocabulary:
    """Tokens, with those that are added, in order; ``key`` of ``fields`` states the former."""
    ids, types = dict(ids), dict(types)
    for token in added:
        if ids.setdefault(token.text, token.token_id) != token.token_id:
            problem = f"has {token.text!r} as {token.token_id}, the vocabulary as {ids[token.text]}"
            raise fields.wrong("added_tokens", problem)
        types[token.token_id] = token.type
    return Vocabulary(
        kind=kind,
        tokens=_by_id(fields, key, ids, size),
        types=tuple(types.get(token_id, _UNUSED) for token_id in range(size)),
        flags=tuple(TokenFlags(token.token_id, token.flags) for token in added if token.flags),
        ids=ids,
    )


def _by_id(fields: Fields, key: str, ids: Mapping[str, int], size: int) -> tuple[str, ...]:
    by_id = {token_id: token for token, token_id in ids.items()}
    if len(by_id) != len(ids) or not 0 <= min(by_id) <= max(by_id) < size:
        problem = f"must have an id of its own for every token, of 0..{size - 1}"
        raise fields.wrong(key, problem)
    return tuple(by_id.get(token_id) or _filler(token_id, ids) for token_id in range(size))


def _with_spaces(found: Vocabulary) -> tuple[str, ...]:
    """WordPiece as GGUF spells it: a space starts a word, where here ## continues one."""
    return tuple(
        token
        if kind != _NORMAL
        else token.removeprefix("##")
        if token.startswith("##") and len(token) > 2
        else _SPACE + token
        for token, kind in zip(found.tokens, found.types, strict=True)
    )


def _type_of(token: str, model: Mapping[str, Any]) -> int:
    if token == model.get("unk_token"):
        return _UNKNOWN
    is_byte = model.get("byte_fallback") is True and token in _BYTE_NAMES
    return _BYTE if is_byte else _NORMAL


def _check_kind(fields: Fields, model: Mapping[str, Any]) -> str:
    kinds = {"BPE": "bpe", "WordPiece": "wordpiece", "Unigram": "pipeline_unigram"}
    # Files that were written before models named their type are BPE if they have merges.
    name = model.get("type", "BPE" if "merges" in model else None)
    if name not in kinds:
        problem = f"is {name!r}; supported are: {', '.join(kinds)}"
        raise fields.unsupported("model.type", problem)
    for key, value in model.items():
        if key in _NEUTRAL:
            if value not in _NEUTRAL[key] or (value == "##" and name == "BPE"):
                raise fields.unsupported(f"model.{key}", f"is {value!r}, which is not supported")
        elif key not in _APART:
            raise fields.unsupported(f"model.{key}", "is not a known parameter")
    if name == "BPE" and model.get("unk_token") and not _knows_all(model):
        problem = "stands for bytes that have no token, which is not supported"
        raise fields.unsupported("model.unk_token", problem)
    return kinds[name]


def _knows_all(model: Mapping[str, Any]) -> bool:
    """Whether every byte has a token, so that nothing is ever unknown."""
    vocab = model.get("vocab")
    if not isinstance(vocab, dict):
        return False
    return vocab.keys() >= (_BYTE_NAMES if model.get("byte_fallback") else _ALPHABET)


def token_ids(fields: Fields, key: str, vocab: object) -> dict[str, int]:
    """What ``key`` states: tokens and their ids."""
    if not isinstance(vocab, dict) or not vocab:
        raise fields.wrong(key, "is not an object of tokens and their ids")
    for token, token_id in vocab.items():
        if type(token_id) is not int:
            raise fields.wrong(key, f"has {token!r}: {token_id!r}, not a token's id")
    return dict(vocab)


def _filler(token_id: int, ids: Mapping[str, int]) -> str:
    name = f"[PAD{token_id}]"
    return name if name not in ids else f"[UNUSED{token_id}]"


def _merges(fields: Fields, merges: object, ids: Mapping[str, int]) -> tuple[str, ...]:
    """Written as "left right", or as [left, right] in newer files."""
    if not isinstance(merges, list):
        raise fields.wrong("model.merges", "is not an array")
    return tuple(_merge(fields, rank, merge, ids) for rank, merge in enumerate(merges))


def _merge(fields: Fields, rank: int, merge: object, ids: Mapping[str, int]) -> str:
    match merge.split(" ") if isinstance(merge, str) else merge:
        case [str(left), str(right)] if left in ids and right in ids and left + right in ids:
            return f"{left} {right}"
        case _:
            problem = f"[{rank}] is {merge!r}, not two tokens that make a third"
            raise fields.wrong("model.merges", problem)

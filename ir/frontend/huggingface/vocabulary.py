"""The tokens and merges of a tokenizer.json, every id with one token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from inferflux.ir.frontend.typed import Fields

_NORMAL, _CONTROL, _USER, _UNUSED = 1, 3, 4, 5  # GGUF's types of token
_NEUTRAL: dict[str, tuple[object, ...]] = {  # of the model; another value merges otherwise
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}
_APART = ("type", "vocab", "merges", "unk_token", "fuse_unk")
# The characters in which a byte-level vocabulary spells the 256 bytes.
_ALPHABET = frozenset(map(chr, (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144))))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens by id, as GGUF has them; ids that no token has are filled with unused ones."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    ids: Mapping[str, int] = field(repr=False)


def read_vocabulary(fields: Fields, size: int) -> Vocabulary:
    """``size`` rows has the embedding, which may be more than there are tokens."""
    model = fields.values.get("model")
    if not isinstance(model, dict):
        raise fields.wrong("model", "is not an object")
    _check_kind(fields, model)
    ids = _ids(fields, model.get("vocab"))
    types = dict.fromkeys(ids.values(), _NORMAL)
    for token, token_id, kind in _added(fields):
        if ids.setdefault(token, token_id) != token_id:
            problem = f"has {token!r} as {token_id}, the vocabulary as {ids[token]}"
            raise fields.wrong("added_tokens", problem)
        types[token_id] = kind
    by_id = {token_id: token for token, token_id in ids.items()}
    if len(by_id) != len(ids) or not 0 <= min(by_id) <= max(by_id) < size:
        problem = f"must have an id of its own for every token, of 0..{size - 1}"
        raise fields.wrong("model.vocab", problem)
    tokens = tuple(by_id.get(token_id) or _filler(token_id, ids) for token_id in range(size))
    return Vocabulary(
        tokens=tokens,
        types=tuple(types.get(token_id, _UNUSED) for token_id in range(size)),
        merges=_merges(fields, model.get("merges"), ids),
        ids=ids,
    )


def _check_kind(fields: Fields, model: Mapping[str, Any]) -> None:
    if model.get("type") != "BPE":
        raise fields.unsupported("model.type", f"is {model.get('type')!r}, only 'BPE' is supported")
    for key, value in model.items():
        if key in _NEUTRAL:
            if value not in _NEUTRAL[key]:
                raise fields.unsupported(f"model.{key}", f"is {value!r}, which is not supported")
        elif key not in _APART:
            raise fields.unsupported(f"model.{key}", "is not a known parameter")
    if model.get("unk_token") and not _spells_bytes(model):
        problem = "stands for bytes that have no token, which is not supported"
        raise fields.unsupported("model.unk_token", problem)


def _spells_bytes(model: Mapping[str, Any]) -> bool:
    """Whether every byte has a token, so that nothing is ever unknown."""
    vocab = model.get("vocab")
    return isinstance(vocab, dict) and vocab.keys() >= _ALPHABET


def _ids(fields: Fields, vocab: object) -> dict[str, int]:
    if not isinstance(vocab, dict) or not vocab:
        raise fields.wrong("model.vocab", "is not an object of tokens and their ids")
    for token, token_id in vocab.items():
        if type(token_id) is not int or not token:
            raise fields.wrong("model.vocab", f"has {token!r}: {token_id!r}, not a token's id")
    return dict(vocab)


def _added(fields: Fields) -> Iterator[tuple[str, int, int]]:
    """Tokens that are cut out of a text before it is merged: text, id, type."""
    added = fields.values.get("added_tokens") or []
    if not isinstance(added, list):
        raise fields.wrong("added_tokens", "is not an array")
    for entry in added:
        match entry:
            case {"content": str(token), "id": int(token_id)} if token:
                pass
            case _:
                raise fields.wrong("added_tokens", f"has {entry!r}, not a token and its id")
        for key in ("single_word", "lstrip", "rstrip"):
            if entry.get(key):
                problem = f"has {token!r} with {key}, which is not supported"
                raise fields.unsupported("added_tokens", problem)
        yield token, token_id, _CONTROL if entry.get("special") else _USER


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

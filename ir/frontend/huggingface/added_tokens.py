"""Tokens that are cut out of a text before anything else, as a directory's files list them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inferflux.ir.frontend.huggingface.directory import (
    ADDED_TOKENS,
    SPECIAL_TOKENS,
    TOKENIZER_CONFIG,
)
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.source import ModelFileError
from inferflux.ir.frontend.typed import Fields

CONTROL, USER_DEFINED = 3, 4  # GGUF's types of token
_DECODER = "added_tokens_decoder"
_ID = re.compile("[0-9]{1,9}")
_NAMES = ("bos", "eos", "unk", "pad", "sep", "cls", "mask")
_SEVERAL = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = {"left": "lstrip", "right": "rstrip", "word": "single_word", "normalised": "normalized"}


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is cut out of a text before it is merged."""

    text: str
    token_id: int
    type: int
    flags: tuple[str, ...] = ()


def listed(fields: Fields) -> Iterator[AddedToken]:
    """Those of a tokenizer.json."""
    added = fields.values.get("added_tokens") or []
    if not isinstance(added, list):
        raise fields.wrong("added_tokens", "is not an array")
    for entry in added:
        match entry:
            case {"content": str(token), "id": int(token_id)} if token:
                yield _added(token, token_id, entry)
            case _:
                raise fields.wrong("added_tokens", f"has {entry!r}, not a token and its id")


def beside(source: HuggingFaceModel, ids: Mapping[str, int]) -> tuple[AddedToken, ...]:
    """Those that stand beside a vocabulary whose file has none.

    They are those of tokenizer_config.json, else of the older added_tokens.json; and what those
    files call special, of ``ids``.
    """
    special = _special_texts(source)
    added = [*_decoder(source)] or [*_older(source, special)]
    found = {token.text for token in added}
    named = (text for text in special if text in ids and text not in found)
    return (*added, *(AddedToken(text, ids[text], CONTROL) for text in named))


def _decoder(source: HuggingFaceModel) -> Iterator[AddedToken]:
    path, values = source.path / TOKENIZER_CONFIG, _values(source, TOKENIZER_CONFIG)
    entries = values.get(_DECODER) or {}
    if not isinstance(entries, dict):
        raise ModelFileError(path, f"key {_DECODER!r}", None, "is not an object")
    for token_id, entry in entries.items():
        match entry:
            case {"content": str(token)} if token and _ID.fullmatch(token_id):
                yield _added(token, int(token_id), entry)
            case _:
                problem = f"has {token_id!r}: {entry!r}, not an id and its token"
                raise ModelFileError(path, f"key {_DECODER!r}", None, problem)


def _older(source: HuggingFaceModel, special: tuple[str, ...]) -> Iterator[AddedToken]:
    for token, token_id in _values(source, ADDED_TOKENS).items():
        if type(token_id) is not int or not token:
            problem = f"is {token_id!r}, not a token's id"
            raise ModelFileError(source.path / ADDED_TOKENS, f"key {token!r}", None, problem)
        is_special = token in special
        yield _added(token, token_id, {"special": is_special, "normalized": not is_special})


def _special_texts(source: HuggingFaceModel) -> tuple[str, ...]:
    """What is called special anywhere: by a name of its own, or in a list."""
    texts = []
    for name in (TOKENIZER_CONFIG, SPECIAL_TOKENS):
        values = _values(source, name)
        stated = [values.get(f"{each}_token") for each in _NAMES]
        for key in _SEVERAL:
            several = values.get(key)
            stated += several if isinstance(several, list) else []
        texts += [each.get("content") if isinstance(each, dict) else each for each in stated]
    return tuple(dict.fromkeys(text for text in texts if isinstance(text, str)))


def _values(source: HuggingFaceModel, name: str) -> Mapping[str, Any]:
    if name not in source.directory.texts:
        return {}
    return source.directory.json(name, depth=1).values


def _added(text: str, token_id: int, entry: Mapping[str, Any]) -> AddedToken:
    flags = tuple(ours for ours, theirs in _FLAGS.items() if entry.get(theirs))
    if entry.get("special"):  # nothing that rewrites a text may keep one from being found
        flags = tuple(flag for flag in flags if flag != "normalised")
        return AddedToken(text, token_id, CONTROL, flags)
    return AddedToken(text, token_id, USER_DEFINED, flags)

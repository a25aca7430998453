"""The tokenizer that a model file states, read and checked."""

from __future__ import annotations

from collections import Counter

from inferflux.ir.frontend.chat_templates import of_gguf
from inferflux.ir.frontend.facts import TokenizerMetadata
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.tokenizer import read_tokenizer
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.typed import Fields

_KINDS = {"gpt2": "bpe"}  # GGUF's name for a byte-level BPE is that of its first model
_NORMAL, _BYTE = 1, 6  # the first and the last token type
_AT = "tokenizer.ggml"


def tokenizer(source: ModelSource) -> TokenizerMetadata:
    """Read the tokenizer; every id is in range, every merge makes a token of two tokens."""
    if isinstance(source, HuggingFaceModel):
        return read_tokenizer(source)
    fields = Fields.of(source)
    kind = _kind(fields)
    tokens = _tokens(fields)
    templates = of_gguf(fields)
    return TokenizerMetadata(
        kind=kind,
        pre=fields.text(f"{_AT}.pre", "default"),
        tokens=tokens,
        token_types=_token_types(fields, len(tokens)),
        merges=_merges(fields, tokens),
        bos_token_id=_token_id(fields, "bos_token_id", len(tokens)),
        eos_token_ids=_eos_token_ids(fields, len(tokens)),
        pad_token_id=_token_id(fields, "padding_token_id", len(tokens)),
        unknown_token_id=_token_id(fields, "unknown_token_id", len(tokens)),
        add_bos=fields.flag(f"{_AT}.add_bos_token", False),
        add_space_prefix=fields.flag(f"{_AT}.add_space_prefix", False),
        chat_template=templates.default,
        named_templates=templates.named,
    )


def _kind(fields: Fields) -> str:
    name = fields.text(f"{_AT}.model")
    if name not in _KINDS:
        problem = f"{name!r} is not supported; take a model of {', '.join(_KINDS)} (byte-level BPE)"
        raise fields.unsupported(f"{_AT}.model", problem)
    if fields.flag(f"{_AT}.add_eos_token", False):
        raise fields.unsupported(f"{_AT}.add_eos_token", "prompts that end in EOS are not built")
    return _KINDS[name]


def _tokens(fields: Fields) -> tuple[str, ...]:
    tokens = fields.texts(f"{_AT}.tokens")
    if not tokens:
        raise fields.wrong(f"{_AT}.tokens", "is empty")
    if len(set(tokens)) != len(tokens):
        twice, _ = Counter(tokens).most_common(1)[0]
        raise fields.wrong(f"{_AT}.tokens", f"has {twice!r} twice, so its id is ambiguous")
    return tokens


def _token_types(fields: Fields, num_tokens: int) -> tuple[int, ...]:
    key = f"{_AT}.token_type"
    if not fields.has(key):
        return (_NORMAL,) * num_tokens
    types = fields.wholes(key)
    if len(types) != num_tokens:
        raise fields.wrong(key, f"has {len(types)} entries for {num_tokens} tokens")
    if not _NORMAL <= min(types) <= max(types) <= _BYTE:
        raise fields.wrong(key, f"spans {min(types)}..{max(types)}, must be {_NORMAL}..{_BYTE}")
    return types


def _merges(fields: Fields, tokens: tuple[str, ...]) -> tuple[str, ...]:
    merges = fields.texts(f"{_AT}.merges")
    known = set(tokens)
    for rank, merge in enumerate(merges):
        left, _, right = merge.partition(" ")
        if left not in known or right not in known or left + right not in known:
            problem = f"[{rank}] is {merge!r}, not two tokens that make a third"
            raise fields.wrong(f"{_AT}.merges", problem)
    return merges


def _token_id(fields: Fields, name: str, num_tokens: int) -> int | None:
    key = f"{_AT}.{name}"
    return fields.whole(key, 0, num_tokens - 1) if fields.has(key) else None


def _eos_token_ids(fields: Fields, num_tokens: int) -> tuple[int, ...]:
    """Chat models end a turn with their own token, which is not always that of a text's end."""
    ids = (_token_id(fields, name, num_tokens) for name in ("eos_token_id", "eot_token_id"))
    return tuple(dict.fromkeys(token_id for token_id in ids if token_id is not None))

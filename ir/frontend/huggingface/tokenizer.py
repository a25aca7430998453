"""tokenizer.json and what stands beside it, as the facts that a GGUF would state."""

from __future__ import annotations

from inferflux.ir.frontend.chat_templates import of_directory
from inferflux.ir.frontend.facts import TokenizerMetadata
from inferflux.ir.frontend.huggingface.directory import GENERATION, TOKENIZER, TOKENIZER_CONFIG
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.pipeline import (
    read_spelling,
    read_steps,
    surrounding_tokens,
)
from inferflux.ir.frontend.huggingface.vocabulary import Vocabulary, read_vocabulary
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields


def read_tokenizer(source: HuggingFaceModel) -> TokenizerMetadata:
    """Read and check.  Raises UnsupportedModel for a step of the tokenizer that is not known."""
    document = source.directory.json(TOKENIZER, depth=2)
    fields = Fields(source.path / TOKENIZER, document.values, document.places, "key")
    normalisers, cuts = read_steps(fields, "normalizer"), read_steps(fields, "pre_tokenizer")
    spelling, puts_space = read_spelling(fields)
    vocabulary = read_vocabulary(fields, source.config.whole("vocab_size", 1, MAX_SIZE))
    stated = source.fields(TOKENIZER_CONFIG)
    first, last = surrounding_tokens(fields)
    _check_additions(stated, "add_bos_token", first)
    _check_additions(stated, "add_eos_token", last)
    bos = _special(stated, "bos_token", vocabulary)
    templates = of_directory(source, stated)
    return TokenizerMetadata(
        kind=vocabulary.kind,
        pre="",
        tokens=vocabulary.tokens,
        token_types=vocabulary.types,
        merges=vocabulary.merges,
        bos_token_id=bos if first is None else _in_range(fields, first, vocabulary),
        eos_token_ids=_eos_token_ids(source, stated, vocabulary),
        pad_token_id=_special(stated, "pad_token", vocabulary),
        unknown_token_id=_unknown(stated, vocabulary),
        add_bos=first is not None,
        add_space_prefix=puts_space,
        chat_template=templates.default,
        named_templates=templates.named,
        normalisers=normalisers,
        cuts=cuts,
        spelling=spelling,
        ignore_merges=vocabulary.ignore_merges,
        last_token_id=None if last is None else _in_range(fields, last, vocabulary),
        stripping=vocabulary.flags,
    )


def _check_additions(stated: Fields, key: str, token: int | None) -> None:
    """Two files say what a prompt begins and ends with; they must not disagree."""
    where = "before" if key == "add_bos_token" else "after"
    if stated.flag(key, token is not None) != (token is not None):
        does = f"puts a token {where}" if token is not None else f"puts no token {where}"
        problem = f"is {stated.values[key]}, but {TOKENIZER} {does} a text"
        raise stated.unsupported(key, problem)


def _unknown(stated: Fields, vocabulary: Vocabulary) -> int | None:
    of_model = vocabulary.unknown
    known = vocabulary.ids.get(of_model) if of_model is not None else None
    return known if known is not None else _special(stated, "unk_token", vocabulary)


def _in_range(fields: Fields, token_id: int, vocabulary: Vocabulary) -> int:
    if not 0 <= token_id < len(vocabulary.tokens):
        problem = (
            f"puts token {token_id} around a text, of a vocabulary of {len(vocabulary.tokens)}"
        )
        raise fields.wrong("post_processor", problem)
    return token_id


def _special(stated: Fields, name: str, vocabulary: Vocabulary) -> int | None:
    """The id of a token that is stated as text, or as an object with its text."""
    key = f"{name}.content" if stated.has(f"{name}.content") else name
    if not stated.has(key):
        return None
    token = stated.text(key)
    if token not in vocabulary.ids:
        raise stated.wrong(key, f"is {token!r}, which is not in the vocabulary")
    return vocabulary.ids[token]


def _eos_token_ids(
    source: HuggingFaceModel, stated: Fields, vocabulary: Vocabulary
) -> tuple[int, ...]:
    """All that end an output: generation_config.json's, else the model's, and the tokenizer's."""
    generation, most = source.fields(GENERATION), len(vocabulary.tokens) - 1
    fields = generation if generation.has("eos_token_id") else source.config
    ids = _whole_or_several(fields, "eos_token_id", most)
    own = _special(stated, "eos_token", vocabulary)
    return tuple(dict.fromkeys((*ids, own) if own is not None else ids))


def _whole_or_several(fields: Fields, key: str, most: int) -> tuple[int, ...]:
    if not fields.has(key):
        return ()
    if isinstance(fields.values[key], int):
        return (fields.whole(key, 0, most),)
    ids = fields.wholes(key)
    if not 0 <= min(ids) <= max(ids) <= most:
        raise fields.wrong(key, f"spans {min(ids)}..{max(ids)}, must be 0..{most}")
    return ids

"""A directory's tokenizer and what stands beside it, as the facts that a GGUF would state."""

from __future__ import annotations

from inferflux.ir.frontend.chat_templates import of_directory
from inferflux.ir.frontend.facts import TokenizerMetadata
from inferflux.ir.frontend.fewer_cuts import in_fewer_steps
from inferflux.ir.frontend.huggingface.directory import (
    GENERATION,
    PIECES,
    TOKENIZER,
    TOKENIZER_CONFIG,
)
from inferflux.ir.frontend.huggingface.merge_files import read_merge_files
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.piece_file import read_piece_file
from inferflux.ir.frontend.huggingface.pipeline import (
    read_spelling,
    read_steps,
    surrounding_tokens,
)
from inferflux.ir.frontend.huggingface.stated import StatedTokenizer, named_token
from inferflux.ir.frontend.huggingface.vocabulary import Vocabulary, read_vocabulary
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields


def read_tokenizer(source: HuggingFaceModel) -> TokenizerMetadata:
    """Read and check.  Raises UnsupportedModel for a step of the tokenizer that is not known."""
    found = _stated(source, source.config.whole("vocab_size", 1, MAX_SIZE))
    vocabulary, beside = found.vocabulary, source.fields(TOKENIZER_CONFIG)
    bos = named_token(source, "bos_token", vocabulary.ids)
    templates = of_directory(source, beside)
    return TokenizerMetadata(
        kind=vocabulary.kind,
        pre="",
        tokens=vocabulary.tokens,
        token_types=vocabulary.types,
        merges=vocabulary.merges,
        bos_token_id=_first(found.first, bos, found.bos),
        eos_token_ids=_eos_token_ids(source, found),
        pad_token_id=named_token(source, "pad_token", vocabulary.ids),
        unknown_token_id=_unknown(source, vocabulary),
        add_bos=found.first is not None,
        add_space_prefix=found.puts_space,
        chat_template=templates.default,
        named_templates=templates.named,
        scores=vocabulary.scores,
        normalisers=found.normalisers,
        cuts=found.cuts,
        spelling=found.spelling,
        ignore_merges=vocabulary.ignore_merges,
        last_token_id=found.last,
        stripping=vocabulary.flags,
    )


def _stated(source: HuggingFaceModel, size: int) -> StatedTokenizer:
    """By the first of the forms that stands there; ``size`` is how many rows the embedding has."""
    if TOKENIZER in source.directory.texts:
        return _of_document(source, size)
    if PIECES in source.directory.texts:
        return read_piece_file(source, size)
    return read_merge_files(source, size)


def _of_document(source: HuggingFaceModel, size: int) -> StatedTokenizer:
    document = source.directory.json(TOKENIZER, depth=2)
    fields = Fields(source.path / TOKENIZER, document.values, document.places, "key")
    normalisers, cuts = read_steps(fields, "normalizer"), read_steps(fields, "pre_tokenizer")
    spelling, puts_space = read_spelling(fields)
    vocabulary = read_vocabulary(fields, size)
    beside = source.fields(TOKENIZER_CONFIG)
    first, last = surrounding_tokens(fields)
    _check_additions(beside, "add_bos_token", first)
    _check_additions(beside, "add_eos_token", last)
    return StatedTokenizer(
        vocabulary=vocabulary,
        normalisers=normalisers,
        cuts=in_fewer_steps(cuts),
        spelling=spelling,
        puts_space=puts_space,
        first=None if first is None else _in_range(fields, first, vocabulary),
        last=None if last is None else _in_range(fields, last, vocabulary),
    )


def _check_additions(stated: Fields, key: str, token: int | None) -> None:
    """Two files say what a prompt begins and ends with; they must not disagree."""
    where = "before" if key == "add_bos_token" else "after"
    if stated.flag(key, token is not None) != (token is not None):
        does = f"puts a token {where}" if token is not None else f"puts no token {where}"
        problem = f"is {stated.values[key]}, but {TOKENIZER} {does} a text"
        raise stated.unsupported(key, problem)


def _first(*ids: int | None) -> int | None:
    return next((token for token in ids if token is not None), None)


def _unknown(source: HuggingFaceModel, vocabulary: Vocabulary) -> int | None:
    of_model = vocabulary.unknown
    known = vocabulary.ids.get(of_model) if of_model is not None else None
    return known if known is not None else named_token(source, "unk_token", vocabulary.ids)


def _in_range(fields: Fields, token_id: int, vocabulary: Vocabulary) -> int:
    if not 0 <= token_id < len(vocabulary.tokens):
        problem = (
            f"puts token {token_id} around a text, of a vocabulary of {len(vocabulary.tokens)}"
        )
        raise fields.wrong("post_processor", problem)
    return token_id


def _eos_token_ids(source: HuggingFaceModel, found: StatedTokenizer) -> tuple[int, ...]:
    """All that end an output: generation_config.json's, else the model's, and the tokenizer's."""
    ids, most = found.vocabulary.ids, len(found.vocabulary.tokens) - 1
    generation = source.fields(GENERATION)
    fields = generation if generation.has("eos_token_id") else source.config
    stated = _whole_or_several(fields, "eos_token_id", most)
    own = _first(named_token(source, "eos_token", ids), found.eos)
    return tuple(dict.fromkeys((*stated, own) if own is not None else stated))


def _whole_or_several(fields: Fields, key: str, most: int) -> tuple[int, ...]:
    if not fields.has(key):
        return ()
    if isinstance(fields.values[key], int):
        return (fields.whole(key, 0, most),)
    ids = fields.wholes(key)
    if not 0 <= min(ids) <= max(ids) <= most:
        raise fields.wrong(key, f"spans {min(ids)}..{max(ids)}, must be 0..{most}")
    return ids

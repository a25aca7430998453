"""tokenizer.json and what stands beside it, as the facts that a GGUF would state."""

from __future__ import annotations

from inferflux.ir.frontend.chat_templates import of_directory
from inferflux.ir.frontend.facts import TokenizerMetadata
from inferflux.ir.frontend.huggingface.directory import GENERATION, TOKENIZER, TOKENIZER_CONFIG
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.pipeline import prefix_token, read_pre_tokenizer
from inferflux.ir.frontend.huggingface.vocabulary import Vocabulary, read_vocabulary
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields


def read_tokenizer(source: HuggingFaceModel) -> TokenizerMetadata:
    """Read and check.  Raises UnsupportedModel for a step of the tokenizer that is not known."""
    document = source.directory.json(TOKENIZER, depth=2)
    fields = Fields(source.path / TOKENIZER, document.values, document.places, "key")
    pre = read_pre_tokenizer(fields)
    vocabulary = read_vocabulary(fields, source.config.whole("vocab_size", 1, MAX_SIZE))
    stated = source.fields(TOKENIZER_CONFIG)
    prefix = prefix_token(fields)
    _check_additions(stated, prefix)
    bos = _special(stated, "bos_token", vocabulary)
    templates = of_directory(source, stated)
    return TokenizerMetadata(
        kind="bpe",
        pre=pre,
        tokens=vocabulary.tokens,
        token_types=vocabulary.types,
        merges=vocabulary.merges,
        bos_token_id=_in_range(fields, prefix, vocabulary) if prefix is not None else bos,
        eos_token_ids=_eos_token_ids(source, stated, vocabulary),
        pad_token_id=_special(stated, "pad_token", vocabulary),
        unknown_token_id=_special(stated, "unk_token", vocabulary),
        add_bos=prefix is not None,
        add_space_prefix=False,
        chat_template=templates.default,
        named_templates=templates.named,
    )


def _check_additions(stated: Fields, prefix: int | None) -> None:
    """Two files say what a prompt begins and ends with; they must not disagree."""
    if stated.flag("add_eos_token", False):
        raise stated.unsupported("add_eos_token", "prompts that end in EOS are not built")
    if stated.flag("add_bos_token", prefix is not None) != (prefix is not None):
        does = "puts a token before" if prefix is not None else "puts no token before"
        problem = f"is {stated.values['add_bos_token']}, but {TOKENIZER} {does} a text"
        raise stated.unsupported("add_bos_token", problem)


def _in_range(fields: Fields, token_id: int, vocabulary: Vocabulary) -> int:
    if not 0 <= token_id < len(vocabulary.tokens):
        problem = f"puts token {token_id} first, of a vocabulary of {len(vocabulary.tokens)}"
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

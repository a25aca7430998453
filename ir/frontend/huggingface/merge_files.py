"""vocab.json and merges.txt: a byte-level BPE whose class says how it cuts a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from inferflux.ir.frontend.facts import TextStep
from inferflux.ir.frontend.huggingface.added_tokens import beside
from inferflux.ir.frontend.huggingface.directory import MERGES, TOKENIZER_CONFIG, VOCABULARY
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.stated import StatedTokenizer, around, named_token
from inferflux.ir.frontend.huggingface.vocabulary import token_ids, vocabulary_of
from inferflux.ir.frontend.pretokenizers import PRE_TOKENIZERS
from inferflux.ir.frontend.source import ModelFileError
from inferflux.ir.frontend.typed import Fields

# By the names of transformers' classes, what GGUF calls their pre-tokenizers.
_CLASSES = {
    "GPT2Tokenizer": "gpt-2",
    "CodeGenTokenizer": "gpt-2",
    "GPTNeoXTokenizer": "olmo",
    "Qwen2Tokenizer": "qwen2",
}
_BY_MODEL = {  # where no class is named
    "gpt2": "GPT2Tokenizer",
    "gpt_neox": "GPTNeoXTokenizer",
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"), "Qwen2Tokenizer"),
}
_DIGIT_BESIDE = re.compile("[0-9].|.[0-9]", re.DOTALL)
_ENDING = "<|endoftext|>"  # what these classes begin and end with where no file says it


def read_merge_files(source: HuggingFaceModel, size: int) -> StatedTokenizer:
    """Raises UnsupportedModel where the class that cuts the texts is not known."""
    document = source.directory.json(VOCABULARY, depth=1)
    fields = Fields(source.path / VOCABULARY, document.values, document.places, "key")
    ids = token_ids(fields, "vocab", document.values)
    merges = _merges(source, ids)
    pre = PRE_TOKENIZERS[_kind(source, ids)]
    added = beside(source, ids)
    found = vocabulary_of(fields, "vocab", "bpe", ids, dict.fromkeys(ids.values(), 1), added, size)
    bos = named_token(source, "bos_token", found.ids)
    eos = named_token(source, "eos_token", found.ids)
    ending = found.ids.get(_ENDING)
    bos, eos = ending if bos is None else bos, ending if eos is None else eos
    first, last = around(source, bos, eos)
    return StatedTokenizer(
        vocabulary=replace(found, merges=merges),
        normalisers=pre.normalisers,
        cuts=_cuts(source, pre.cuts),
        spelling=pre.spelling,
        puts_space=False,
        first=first,
        last=last,
        bos=bos,
        eos=eos,
    )


def _kind(source: HuggingFaceModel, ids: Mapping[str, int]) -> str:
    """GPT2Tokenizer is named also by models that cut digits before, as StarCoder's and SmolLM's.

    Only their tokenizer.json says so; but then no token has a digit beside anything else.
    """
    stated = source.fields(TOKENIZER_CONFIG)
    by_model = _BY_MODEL.get(source.config.text("model_type"), "GPT2Tokenizer")
    name = stated.text("tokenizer_class", by_model).removesuffix("Fast")
    if name not in _CLASSES:
        problem = f"is {name!r}; supported with {VOCABULARY} are: {', '.join(_CLASSES)}"
        raise stated.unsupported("tokenizer_class", problem)
    kind = _CLASSES[name]
    if kind == "gpt-2" and not any(map(_DIGIT_BESIDE.search, ids)):
        return "starcoder"
    return kind


def _cuts(source: HuggingFaceModel, cuts: tuple[TextStep, ...]) -> tuple[TextStep, ...]:
    if not source.fields(TOKENIZER_CONFIG).flag("add_prefix_space", False):
        return cuts
    *before, spelling = cuts
    return (*before, replace(spelling, flags=(*spelling.flags, "prefix_space")))


def _merges(source: HuggingFaceModel, ids: Mapping[str, int]) -> tuple[str, ...]:
    """A line each, the first of which may say the version."""
    path, raw = source.path / MERGES, source.directory.texts[MERGES]
    merges, at = [], 0
    for number, line in enumerate(raw.split(b"\n"), 1):
        text = line.removesuffix(b"\r").decode(errors="replace")
        if text and not (number == 1 and text.startswith("#version")):
            left, _, right = text.partition(" ")
            if left not in ids or right not in ids or left + right not in ids:
                problem = f"is {text!r}, not two tokens that make a third"
                raise ModelFileError(path, f"line {number}", at, problem)
            merges.append(text)
        at += len(line) + 1
    return tuple(merges)

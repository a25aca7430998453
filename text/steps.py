"""The steps of a text on its way to tokens, built from facts."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

from inferflux.codegen.artifact.compiled import TextStep
from inferflux.errors import InferFluxError

_T = TypeVar("_T")


class UnsupportedTokenizer(InferFluxError):
    """The model's tokenizer is of a kind that InferFlux does not reproduce exactly."""

    code = "unsupported_tokenizer"


def normaliser(steps: Sequence[TextStep]) -> Normalizer | None:
    """What rewrites a text; None: nothing does."""
    built = [_build(_NORMALISERS, step) for step in steps]
    return normalizers.Sequence(built) if built else None


def cutter(steps: Sequence[TextStep]) -> PreTokenizer | None:
    """What cuts a text into parts that are merged alone; None: it is one part."""
    built = [_build(_CUTS, step) for step in steps]
    return pre_tokenizers.Sequence(built) if built else None


def within(steps: Sequence[TextStep]) -> tuple[TextStep, ...]:
    """The same steps for a text before which something else stands."""
    return tuple(replace(each, text="never") if each.text == "first" else each for each in steps)


def _build(table: Mapping[str, Callable[[TextStep], _T]], step: TextStep) -> _T:
    if step.kind not in table:
        known = ", ".join(table)
        raise UnsupportedTokenizer(
            f"text step {step.kind!r} is not supported; supported are: {known}"
        )
    return table[step.kind](step)


def _pattern(step: TextStep) -> str | Regex:
    return Regex(step.pattern) if "regex" in step.flags else step.pattern


def _bert(step: TextStep) -> Normalizer:
    return normalizers.BertNormalizer(
        clean_text="clean" in step.flags,
        handle_chinese_chars="chinese" in step.flags,
        strip_accents="strip_accents" in step.flags,
        lowercase="lowercase" in step.flags,
    )


def _byte_level(step: TextStep) -> PreTokenizer:
    return pre_tokenizers.ByteLevel(
        add_prefix_space="prefix_space" in step.flags, use_regex="regex" in step.flags
    )


def _metaspace(step: TextStep) -> PreTokenizer:
    return pre_tokenizers.Metaspace(
        replacement=step.pattern, prepend_scheme=step.text, split="split" in step.flags
    )


_NORMALISERS: Mapping[str, Callable[[TextStep], Normalizer]] = MappingProxyType(
    {
        "nfc": lambda step: normalizers.NFC(),
        "nfd": lambda step: normalizers.NFD(),
        "nfkc": lambda step: normalizers.NFKC(),
        "nfkd": lambda step: normalizers.NFKD(),
        "lowercase": lambda step: normalizers.Lowercase(),
        "strip_accents": lambda step: normalizers.StripAccents(),
        "prepend": lambda step: normalizers.Prepend(step.text),
        "replace": lambda step: normalizers.Replace(_pattern(step), step.text),
        "strip": lambda step: normalizers.Strip("left" in step.flags, "right" in step.flags),
        "charsmap": lambda step: normalizers.Precompiled(b64decode(step.pattern)),
        "bert": _bert,
    }
)
_CUTS: Mapping[str, Callable[[TextStep], PreTokenizer]] = MappingProxyType(
    {
        "byte_level": _byte_level,
        "split": lambda step: pre_tokenizers.Split(
            _pattern(step), step.text, "invert" in step.flags
        ),
        "digits": lambda step: pre_tokenizers.Digits("individual" in step.flags),
        "punctuation": lambda step: pre_tokenizers.Punctuation(step.text),
        "metaspace": _metaspace,
        "whitespace": lambda step: pre_tokenizers.Whitespace(),
        "whitespace_split": lambda step: pre_tokenizers.WhitespaceSplit(),
        "bert": lambda step: pre_tokenizers.BertPreTokenizer(),
    }
)

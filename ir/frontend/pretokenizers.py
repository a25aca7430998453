"""What GGUF calls a pre-tokenizer (``tokenizer.ggml.pre``), as its models' own steps.

The expressions are those of the published tokenizer.json files.  Three were written anew, for they
took time that grows with the square of a run of digits or spaces; they cut as the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from inferflux.ir.frontend.facts import TextStep
from inferflux.ir.frontend.fewer_cuts import (
    BYTES,
    CHAMELEON,
    DEEPSEEK_CODER,
    DEEPSEEK_LLM,
    DIGITS,
    GPT2,
    in_fewer_steps,
    split,
)


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """How one family cuts texts, and what else its name implies."""

    cuts: tuple[TextStep, ...]
    normalisers: tuple[TextStep, ...] = ()
    spelling: str = "byte_level"
    ignore_merges: bool = False
    adds_bos: bool = False  # where the file does not say


NFC = TextStep("nfc")
NUMBERS = TextStep("digits")
ESCAPED_SPACES = TextStep("replace", " ", "\u2581")

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%(end)s"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%(end)s"
)
_CASED_WORD, _CASED_OR_CONTRACTED = _CASED % {"end": ""}, _CASED % {"end": _CONTRACTION + "?"}

_LLAMA3 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"
_QWEN2 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}|{_SIGNS}|{_SPACES}"
_QWEN35 = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_GPT4O = rf"{_CASED_OR_CONTRACTED}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
_TEKKEN = rf"{_CASED_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
# Runs of whitespace in powers of two.  What follows such a run holds no line end any more, so none
# is looked for there.
_JAIS2 = (
    rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|(?<![\s&&[^\r\n]])\s*[\r\n]+"
    r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)"
    r"|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
)
_DEEPSEEK3_SIGNS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*|"
)
_DEEPSEEK3 = (split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(_DEEPSEEK3_SIGNS + _SPACES))
_KIMI_WORD = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%(upper)s"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%(lower)s(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
)
_KIMI = (
    rf"[\p{{Han}}]+|{_KIMI_WORD % {'upper': '*', 'lower': '+'}}"
    rf"|{_KIMI_WORD % {'upper': '+', 'lower': '*'}}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"
)
_YOUTU = (
    split(r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"),
    split(rf"{_CASED_OR_CONTRACTED}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"),
)
_SPARK = _DEEPSEEK3_SIGNS.replace(r"[\p{P}\p{S}]+[\r\n]*|", r"[\p{P}\p{S}]+|")
_BAILING = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
_EXAONE_MOE = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SEED_CODER = (
    rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
_AFMOE_ASIAN = "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"
# Groups of three, from the right: only the first group of a run looks at all of it.
_THREES = r"(?<!\p{%(digit)s})\p{%(digit)s}{1,3}(?=(?:\p{%(digit)s}{3})*%(end)s)"
_THREES_ON = r"|\G(?<=\p{%(digit)s})\p{%(digit)s}{3}"
_RUN_OF_THREES = (_THREES + _THREES_ON) % {"digit": "N", "end": r"(?!\p{N})"}
_WORD_OF_THREES = (_THREES + _THREES_ON) % {"digit": "Nd", "end": r"\b"}
# llama.cpp's own for a file that names none: no model was trained so.
_DEFAULT = (
    split(r"[\p{P}\$\+<=>\^~\|]+"),
    split(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
    split(r"\p{N}+"),
    split("[0-9][0-9][0-9]"),
    BYTES,
)


def _cut_by(
    expression: str, *normalisers: TextStep, ignore_merges: bool = False, adds_bos: bool = False
) -> PreTokenizer:
    cuts = (split(expression), BYTES)
    return PreTokenizer(cuts, normalisers, ignore_merges=ignore_merges, adds_bos=adds_bos)


_GPT2 = PreTokenizer((GPT2,))
_NEOX = PreTokenizer((GPT2,), (NFC,))
_STARCODER = PreTokenizer((DIGITS, GPT2))
_COHERE = PreTokenizer((DIGITS, GPT2), (NFC,))
_ESCAPED = PreTokenizer((), (ESCAPED_SPACES,), spelling="spaces")
_LLAMA = _cut_by(_LLAMA3, ignore_merges=True, adds_bos=True)
_QWEN = _cut_by(_QWEN2, NFC)

_FAMILIES: tuple[tuple[PreTokenizer, str], ...] = (
    (PreTokenizer(_DEFAULT), "default"),
    (_LLAMA, "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"),
    (_cut_by(_LLAMA3), "dbrx smaug-bpe chatglm-bpe"),
    (_cut_by(_LLAMA3, ignore_merges=True), "glm4 glm5"),
    (_cut_by(_JAIS2), "jais-2"),
    (PreTokenizer(DEEPSEEK_LLM), "deepseek-llm"),
    (PreTokenizer(DEEPSEEK_CODER), "deepseek-coder"),
    (PreTokenizer((*_DEEPSEEK3, BYTES)), "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
    (
        PreTokenizer(
            (
                *_DEEPSEEK3[:2],
                split(_SPARK + r"[\r\n]|\s+(?!\S)|\s+"),
                split(r"\p{N}"),
                BYTES,
            )
        ),
        "spark2_5",
    ),
    (PreTokenizer((*_YOUTU, BYTES), ignore_merges=True), "youtu"),
    (
        PreTokenizer(
            (
                TextStep("punctuation", text="contiguous"),
                GPT2,
                NUMBERS,
                split("[0-9][0-9][0-9]"),
            )
        ),
        "falcon",
    ),
    (_STARCODER, "starcoder refact smollm codeshell exaone minerva-7b mellum2"),
    (_COHERE, "command-r"),
    (
        _GPT2,
        "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum jais trillion"
        " granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe",
    ),
    (_NEOX, "mpt olmo modern-bert"),
    (_cut_by(_QWEN2, NFC), "stablelm2"),
    (_QWEN, "qwen2 megrez"),
    (_cut_by(_QWEN2), "deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open grok-2"),
    (_cut_by(_QWEN35), "qwen35"),
    (PreTokenizer((split(_BLOOM), BYTES)), "poro-chat bloom gpt3-finnish"),
    (PreTokenizer((split(_BLOOM), DIGITS, BYTES)), "viking"),
    (_cut_by(_TEKKEN, ignore_merges=True, adds_bos=True), "tekken"),
    (PreTokenizer(CHAMELEON, adds_bos=True), "chameleon"),
    (_cut_by(_GPT4O), "gpt-4o llama4 kanana2 talkie minimax-m2"),
    (_cut_by(_GPT4O, ignore_merges=True), "granite-embed-multi-97m"),
    (PreTokenizer((split(_WORD_OF_THREES), split(_GPT4O), BYTES)), "tiny_aya cohere2moe"),
    (_cut_by(_KIMI), "kimi-k2"),
    (PreTokenizer((split(r"\p{N}+"), split(_RUN_OF_THREES), BYTES)), "superbpe"),
    (_cut_by(_BAILING), "bailingmoe bailingmoe2 llada-moe"),
    (_cut_by(_SEED_CODER), "seed-coder"),
    (_cut_by(rf"{_WORD}|\p{{N}}|{_SIGNS}|{_SPACES}"), "ufakzeka"),
    (
        PreTokenizer((split(_RUN_OF_THREES), split(_AFMOE_ASIAN), _DEEPSEEK3[2], BYTES)),
        "afmoe",
    ),
    (PreTokenizer((split(r"[^\n]+|[\n]+"), split(_QWEN2), BYTES)), "laguna"),
    (_cut_by(_EXAONE_MOE), "exaone-moe"),
    (
        PreTokenizer((), (ESCAPED_SPACES,), spelling="spaces", adds_bos=True),
        "gemma4 granite-embed-multi-311m",
    ),
    (_ESCAPED, "sarvam-moe"),
    (
        PreTokenizer(
            (
                split(r"\p{N}{1,3}"),
                split(rf"{_CONTRACTION}|{_WORD}|\p{{N}}+|{_SIGNS}|{_SPACES}"),
                BYTES,
            ),
            ignore_merges=True,
        ),
        "minicpm5",
    ),
)

PRE_TOKENIZERS: Mapping[str, PreTokenizer] = MappingProxyType(
    {
        name: replace(family, cuts=in_fewer_steps(family.cuts))
        for family, names in _FAMILIES
        for name in names.split()
    }
)

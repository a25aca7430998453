"""Cuts written anew as fewer, which cut the same: a step costs half a second for a million parts.

A part that one expression isolates goes through every step after it, so a text of line ends alone
went through six.  Each entry says why it may be written so; the tests hold both to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from inferflux.ir.frontend.facts import TextStep

Cuts = tuple[TextStep, ...]


def split(expression: str) -> TextStep:
    """Every match is a part by itself."""
    return TextStep("split", expression, "isolated", ("regex",))


DIGITS = TextStep("digits", flags=("individual",))
BYTES = TextStep("byte_level")
GPT2 = TextStep("byte_level", flags=("regex",))  # with the expression of GPT-2 before

# Digits are those of a newer Unicode than expressions know, punctuation of an older one.
_DIGIT = "\\p{N}\U00011de0-\U00011de9\U00016ff4-\U00016ff6"
_NO_PUNCTUATION_YET = (
    "\u061d\u09fd\u0a76\u0c77\u0c84\u1b4e\u1b4f\u1b7d-\u1b7f\u2e43-\u2e4f\u2e52-\u2e5d"
    "\U00010d6e\U00010ead\U00010f55-\U00010f59\U00010f86-\U00010f89\U000113d4\U000113d5"
    "\U000113d7\U000113d8\U0001144b-\U0001144f\U0001145a\U0001145b\U0001145d\U00011660-"
    "\U0001166c\U000116b9\U0001183b\U00011944-\U00011946\U000119e2\U00011a3f-\U00011a46"
    "\U00011a9a-\U00011a9c\U00011a9e-\U00011aa2\U00011b00-\U00011b09\U00011be1\U00011c41-"
    "\U00011c45\U00011c70\U00011c71\U00011ef7\U00011ef8\U00011f43-\U00011f4f\U00011fff"
    "\U00012ff1\U00012ff2\U00016d6d-\U00016d6f\U00016e97-\U00016e9a\U00016fe2\U0001e5ff"
    "\U0001e95e\U0001e95f"
)
_PUNCTUATION_NO_MORE = "\u166d\U000111c9"
_PUNCTUATION = rf"[!-/:-@\[-`{{-~{_PUNCTUATION_NO_MORE}]|[\p{{P}}&&[^{_NO_PUNCTUATION_YET}]]"
_SIGN = rf"(?!{_PUNCTUATION})[^\s\p{{L}}{_DIGIT}]"

# What follows spaces and is a part of its own ends their part, so none is kept back for it.
_DIGITS_THEN_GPT2 = (
    split(
        rf"[{_DIGIT}]|'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?[^\s\p{{L}}{_DIGIT}]+"
        rf"|\s+(?![^\s{_DIGIT}])|\s+"
    ),
    BYTES,
)

_HAN = split("[一-龥ࠀ-一가-퟿]+")
_LINE_END = split(r"[\r\n]")
# Bytes are spelled before most parts are cut off, for that costs half a microsecond a part: line
# ends and digits of ASCII are one character then, too, and nothing else is spelled like them.
_LINE_ENDS_AND_DIGITS = (split(rf"[{_DIGIT}&&[^0-9]]"), BYTES, split("[Ċč0-9]"))
_DEEPSEEK_LETTERS = (
    "["
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕ"
    "ἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳ"
    "Ꙁ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
    "]+"
)
_DEEPSEEK_SIGNS = "[!-/:-~！-／：-～‘-‟　-。]+"
DEEPSEEK_LLM = (
    _LINE_END,
    split(rf"\s?{_DEEPSEEK_LETTERS}"),
    split(rf"\s?{_DEEPSEEK_SIGNS}"),
    split(r"\s+$"),
    _HAN,
    DIGITS,
    BYTES,
)
DEEPSEEK_CODER = (_LINE_END, split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), _HAN, DIGITS, BYTES)

_PAIRS = split(r"([\t\n]|    |  )")
CHAMELEON = (
    split("<sentinel:[0-9]+>"),
    split("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
    _PAIRS,
    DIGITS,
    TextStep("punctuation", text="isolated"),
    GPT2,
)
_CHAMELEON_REST = (
    rf"[\t\n]|    |  |[{_DIGIT}]|{_PUNCTUATION}| ?\p{{L}}+| ?(?:{_SIGN})+"
    rf"|(?:(?!  )[^\S\t\n])+(?!{_SIGN}|\p{{L}})|(?:(?!  )[^\S\t\n])+"
)

_FEWER: Mapping[Cuts, Cuts] = MappingProxyType(
    {
        (DIGITS, GPT2): _DIGITS_THEN_GPT2,
        # No other expression takes a line end in, if its space is none; so those can come late.
        DEEPSEEK_LLM: (
            split(rf"[^\S\r\n]?{_DEEPSEEK_LETTERS}"),
            split(rf"[^\S\r\n]?{_DEEPSEEK_SIGNS}"),
            split(r"[^\S\r\n]+(?=[\r\n]|\z)"),
            _HAN,
            *_LINE_ENDS_AND_DIGITS,
        ),
        DEEPSEEK_CODER: (
            split(r"[^\S\r\n]?\p{L}+"),
            split(r"[^\S\r\n]?\p{P}+"),
            _HAN,
            *_LINE_ENDS_AND_DIGITS,
        ),
        # Digits, punctuation, tabs, line ends and pairs of spaces end the parts between them.
        CHAMELEON: (*CHAMELEON[:2], split(_CHAMELEON_REST), BYTES),
    }
)


def in_fewer_steps(cuts: Cuts) -> Cuts:
    """The same cuts, by fewer steps where that is known."""
    return _FEWER.get(cuts, cuts)

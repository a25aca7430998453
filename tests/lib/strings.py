"""Strings of every kind, drawn with a seed: scripts, emoji, spaces, code, control characters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random

SCRIPTS = (
    (0x20, 0x7F), (0xA0, 0x180), (0x300, 0x370), (0x370, 0x400), (0x400, 0x500), (0x590, 0x600),
    (0x600, 0x700), (0x900, 0x980), (0x980, 0xA00), (0xB80, 0xC00), (0xE00, 0xE80),
    (0xF00, 0x1000), (0x10A0, 0x1100), (0x1100, 0x1200), (0x1200, 0x1380), (0x1E00, 0x1F00),
    (0x2000, 0x2070), (0x2070, 0x20D0), (0x2100, 0x2190), (0x2200, 0x2300), (0x2600, 0x27C0),
    (0x3000, 0x3100), (0x3400, 0x3500), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xF900, 0xFB00),
    (0xFE00, 0xFE70), (0xFF00, 0xFFF0), (0x10400, 0x10450), (0x1D400, 0x1D800),
    (0x1F300, 0x1FB00), (0x20000, 0x20100), (0x00, 0x20), (0x7F, 0xA0),
)  # fmt: skip
_WORDS = (
    "the of Hello world don't I'll WE'VE it's x y12 3.14 1234567 foo_bar camelCase HTTPServer naïve"
    " Straße über façade мир Привет 你好世界 日本語 한국어 العربية हिन्दी ไทย"
    " 😀 👩‍👩‍👧‍👦 🇩🇪 ½ ² ① Ⅷ ٣ ０１ ﬁ ﷺ '"
    " \" 's 'S 'LL -- ... !? ==> // /* */ {}; f(x): \u200b \u2581 ▁▁ <0x41> ## ##ing"
)
WORDS = tuple(_WORDS.split(" "))
CODE = (
    "def f(x):\n    return x+1\n",
    'for (int i=0;i<10;++i){\n\tprintf("%d\\n",i);\n}\n',
    "SELECT * FROM t WHERE a='b';",
    '<div class="x">&nbsp;</div>',
    "\\frac{a}{b}^{2}",
    "#!/bin/sh\n# x\n",
)
SPACES = (" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\xa0", "\u2003", "\u3000", "\v", "\x85")


def strings(number: int, seed: int, special: Sequence[str] = ()) -> list[str]:
    """``number`` of them; some hold tokens of ``special``."""
    return [*islice(_every(Random(seed), (*WORDS, *special)), number)]


def _every(random: Random, words: Sequence[str]) -> Iterator[str]:
    makers: tuple[Callable[[Random, Sequence[str]], str], ...] = (
        _of_one_script,
        _of_any_script,
        _of_any_character,
        _of_words,
        _of_words,
        _of_code,
        _of_spaces,
        _of_one_word,
    )
    while True:
        yield random.choice(makers)(random, words)


def _of_one_script(random: Random, words: Sequence[str]) -> str:
    script = random.choice(SCRIPTS)
    return "".join(chr(random.randrange(*script)) for _ in range(random.randrange(1, 25)))


def _of_any_script(random: Random, words: Sequence[str]) -> str:
    scripts = random.choices(SCRIPTS, k=random.randrange(1, 30))
    return "".join(chr(random.randrange(*script)) for script in scripts)


def _of_any_character(random: Random, words: Sequence[str]) -> str:
    codes = (random.randrange(0x110000) for _ in range(random.randrange(1, 20)))
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)


def _of_words(random: Random, words: Sequence[str]) -> str:
    chosen = random.choices(words, k=random.randrange(1, 14))
    return "".join(word + random.choice((" ", "", " ", random.choice(SPACES))) for word in chosen)


def _of_code(random: Random, words: Sequence[str]) -> str:
    return random.choice(CODE) + _of_spaces(random, words) * random.randrange(2)


def _of_spaces(random: Random, words: Sequence[str]) -> str:
    chosen = random.choices(SPACES, k=random.randrange(1, 6))
    return "".join(space * random.randrange(1, 9) for space in chosen) + random.choice(words)


def _of_one_word(random: Random, words: Sequence[str]) -> str:
    number = random.randrange(10 ** random.randrange(1, 18))
    return random.choice(words) * random.randrange(1, 12) + str(number)

"""Cuts that were written anew as fewer cut as those that models are published with."""

from __future__ import annotations

import random

import pytest
from tokenizers.pre_tokenizers import PreTokenizer

import strings
from inferflux.codegen.artifact.compiled import TextStep
from inferflux.ir.frontend import fewer_cuts
from inferflux.ir.frontend.fewer_cuts import CHAMELEON, DEEPSEEK_CODER, DEEPSEEK_LLM, DIGITS, GPT2
from inferflux.text.steps import cutter

PUBLISHED = {
    "starcoder": (DIGITS, GPT2),
    "deepseek-llm": DEEPSEEK_LLM,
    "deepseek-coder": DEEPSEEK_CODER,
    "chameleon": CHAMELEON,
}
# Of every class that an expression names, and digits and punctuation of other Unicode versions.
ALPHABET = " \t\n\r\v\xa0\u3000\u2028aZ1'.,=€$語ก\u0301²\U00011de3\u061d\u166d\U000111c9🙂é_<"


def built(cuts: fewer_cuts.Cuts) -> PreTokenizer:
    steps = [TextStep(each.kind, each.pattern, each.text, each.flags) for each in cuts]
    found = cutter(steps)
    assert found is not None
    return found


def texts() -> list[str]:
    chance = random.Random(8)
    few = (chance.choices(ALPHABET[: chance.randrange(2, 40)], k=9) for _ in range(4000))
    named = ["<sentinel:12>  1", "<sentinel:1", "IMGIMGABCZ x", "IMGIMGABC"]
    return [*strings.strings(1000, seed=9), *map("".join, few), *named]


@pytest.mark.parametrize("name", PUBLISHED)
def test_fewer_steps_cut_as_the_published_ones(name):
    cuts = PUBLISHED[name]
    fewer = fewer_cuts.in_fewer_steps(cuts)
    assert fewer != cuts
    published, ours = built(cuts), built(fewer)
    for text in texts():
        assert ours.pre_tokenize_str(text) == published.pre_tokenize_str(text), ascii(text)

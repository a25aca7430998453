"""Every kind of tokenizer gives the ids of llama.cpp (0.3.36), and takes any text there is."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.models import BPE

import vocabularies
from inferflux.codegen.artifact.compiled import TextStep, TokenFlags, TokenizerFacts
from inferflux.ir.frontend.pretokenizers import PRE_TOKENIZERS
from inferflux.text import Detokeniser, Tokenizer
from inferflux.text.encoders import Pipeline
from inferflux.text.whole_tokens import Gap

FOLDER = Path(__file__).with_name("kinds")
# {"text", "ids": [{"kinds", "ids"}]}: SmolLM's merges in a file that names another pre-tokenizer.
# falcon, tiny_aya and afmoe are missing where llama.cpp cuts otherwise than their models do.
CUT = json.loads((FOLDER / "pre_tokenizers.json").read_text(encoding="utf-8"))
SMALL = json.loads((FOLDER / "small.json").read_text(encoding="utf-8"))
HOSTILE = ("a", " ", "ab", "\n", "語", "<|", "1", "=", "a\u0301")


def cut_by(smollm_facts: TokenizerFacts, name: str) -> TokenizerFacts:
    family = PRE_TOKENIZERS[name]
    return replace(
        smollm_facts,
        normalisers=tuple(TextStep(s.kind, s.pattern, s.text, s.flags) for s in family.normalisers),
        cuts=tuple(TextStep(s.kind, s.pattern, s.text, s.flags) for s in family.cuts),
        ignore_merges=family.ignore_merges,
    )


@pytest.fixture(scope="session")
def merges(smollm_facts: TokenizerFacts) -> BPE:
    """SmolLM's, built once: what is tested are the steps before them."""
    vocabulary = {token: at for at, token in enumerate(smollm_facts.tokens)}
    return BPE(vocabulary, [tuple(merge.split(" ")) for merge in smollm_facts.merges])


@pytest.mark.parametrize("case", CUT, ids=lambda case: ascii(case["text"])[:30])
def test_a_named_pre_tokenizer_cuts_as_llama_cpp_does(
    smollm_facts: TokenizerFacts, merges: BPE, case: dict[str, object]
) -> None:
    for expected in case["ids"]:
        for name in expected["kinds"].split():
            facts = cut_by(smollm_facts, name)
            merges.ignore_merges = facts.ignore_merges
            [ids] = Pipeline(merges, facts).encode([Gap(case["text"], is_first=True)])
            assert ids == [*map(int, expected["ids"].split())], name


def test_every_name_has_a_frozen_text() -> None:
    families = {
        PRE_TOKENIZERS[name] for case in CUT for e in case["ids"] for name in e["kinds"].split()
    }
    byte_level = {each for each in PRE_TOKENIZERS.values() if each.spelling == "byte_level"}
    assert families == byte_level


@pytest.fixture(scope="session", params=["sentencepiece", "unigram", "wordpiece"])
def small(request: pytest.FixtureRequest) -> tuple[str, Tokenizer]:
    return request.param, Tokenizer(getattr(vocabularies, request.param)())


def test_small_vocabularies_give_the_ids_of_llama_cpp(small: tuple[str, Tokenizer]) -> None:
    kind, tokenizer = small
    for case in SMALL[kind]:
        assert tokenizer.encode(case["text"], special=False) == case["plain"], case["text"]
        assert tokenizer.encode(case["text"], special=True) == case["special"], case["text"]


@given(st.text(), st.booleans())
def test_no_text_is_too_much(small: tuple[str, Tokenizer], text: str, special: bool) -> None:
    _, tokenizer = small
    tokenizer.decode(tokenizer.encode(text, special=special))


@pytest.fixture(scope="session")
def sentencepiece() -> Tokenizer:
    return Tokenizer(vocabularies.sentencepiece())


@given(st.text(st.characters(exclude_characters="\u2581", exclude_categories=["Cs"])))
def test_sentencepiece_loses_no_text(sentencepiece: Tokenizer, text: str) -> None:
    ids = sentencepiece.encode(text, special=False)
    assert sentencepiece.decode(ids) == text
    shown = Detokeniser(sentencepiece, is_start=True)
    assert "".join(shown.push([token]) for token in ids) + shown.finish() == text


def test_what_follows_a_prompt_keeps_its_space(sentencepiece: Tokenizer) -> None:
    world = sentencepiece.encode("world", special=False)[1:]
    assert Detokeniser(sentencepiece).push(world) == " world"
    assert sentencepiece.decode(world) == "world"


def test_half_a_character_of_bytes_waits_for_the_rest(sentencepiece: Tokenizer) -> None:
    ids = sentencepiece.encode("🙂", special=False)[2:]  # after <s> and the space
    shown = Detokeniser(sentencepiece)
    assert [shown.push([token]) for token in ids] == ["", "", "", "🙂"]


def test_words_are_joined_to_their_pieces() -> None:
    tokenizer = Tokenizer(vocabularies.wordpiece())
    ids = tokenizer.encode("Hello tokens, worlds", special=False)
    assert tokenizer.decode(ids) == "hello tokens , worlds"


def test_a_text_ends_as_the_model_wants_and_a_templates_does_not() -> None:
    tokenizer = Tokenizer(vocabularies.unigram())
    assert tokenizer.encode("a", special=False)[-1] == 1
    assert tokenizer.encode("a", special=True, marker="\ufdd0")[-1] != 1


def test_no_text_is_a_control_token_in_sentencepiece(sentencepiece: Tokenizer) -> None:
    ids = sentencepiece.encode("<s></s><unk><0x41>", special=False)
    assert sentencepiece.special_token_ids.isdisjoint(ids[1:])
    assert sentencepiece.decode(ids) == "<s></s><unk><0x41>"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [((), "a <> b"), (("left",), "a<> b"), (("right",), "a <>b"), (("left", "right"), "a<>b")],
)
def test_a_whole_token_takes_the_spaces_that_its_flags_say(
    new_facts, flags: tuple[str, ...], expected: str
) -> None:
    base = new_facts()
    facts = new_facts(tokens=(*base.tokens[:-1], "<>"), stripping=(TokenFlags(260, flags),))
    tokenizer = Tokenizer(facts)
    ids = tokenizer.encode("a <> b", special=False)
    assert tokenizer.decode(ids, skip_special=False) == expected


def test_a_token_that_must_be_a_word_is_no_part_of_one(new_facts) -> None:
    base = new_facts()
    facts = new_facts(tokens=(*base.tokens[:-1], "to"), stripping=(TokenFlags(260, ("word",)),))
    tokenizer = Tokenizer(facts)
    assert tokenizer.encode("to", special=False) == [260]
    assert 260 not in tokenizer.encode("tool", special=False)


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
@pytest.mark.parametrize("kind", ["smollm", "sentencepiece"])
def test_cost_grows_with_the_length_of_a_text_and_no_faster(
    request: pytest.FixtureRequest, kind: str, unit: str
) -> None:
    tokenizer = request.getfixturevalue(kind)
    short, long = (unit * (size // len(unit)) for size in (20_000, 160_000))
    assert seconds(tokenizer, long) < 24 * seconds(tokenizer, short) + 0.05  # a square: 64 times


@pytest.mark.parametrize("unit", ["1", "\n", "=", "a", " "], ids=ascii)
@pytest.mark.parametrize("name", ["starcoder", "deepseek-llm", "deepseek-coder", "chameleon"])
def test_cost_of_many_small_parts_grows_with_their_number(
    smollm_facts: TokenizerFacts, merges: BPE, name: str, unit: str
) -> None:
    pipeline = Pipeline(merges, cut_by(smollm_facts, name))

    def cost(size: int) -> float:
        start = time.process_time()
        pipeline.encode([Gap(unit * size, is_first=True)])
        return time.process_time() - start

    short, long = (min(cost(size) for _ in range(2)) for size in (10_000, 80_000))
    assert long < 24 * short + 0.05  # a square: 64 times


def seconds(tokenizer: Tokenizer, text: str) -> float:
    """Of one core, the best of three."""

    def once() -> float:
        start = time.process_time()
        tokenizer.encode(text, special=False)
        return time.process_time() - start

    return min(once() for _ in range(3))

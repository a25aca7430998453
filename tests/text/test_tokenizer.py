"""Token ids are the model's own, as llama.cpp gives them, and text survives the way and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.codegen.artifact.compiled import TextStep, TokenizerFacts
from inferflux.errors import InvalidArgument
from inferflux.text import InvalidTokenizer, Tokenizer, TokenizerFailed, UnsupportedTokenizer

NewFacts = Callable[..., TokenizerFacts]

# {"text", "special", "ids"}: what llama.cpp (llama-cpp-python 0.3.36) gives for each text.
FROZEN = json.loads(Path(__file__).with_name("smollm_tokens.json").read_text(encoding="utf-8"))
IM_START, IM_END = 1, 2
BYTES = (TextStep("byte_level"),)


@pytest.mark.parametrize("case", FROZEN, ids=lambda case: ascii(case["text"])[:40])
def test_ids_are_those_of_llama_cpp(smollm: Tokenizer, case: dict[str, object]) -> None:
    assert smollm.encode(case["text"], special=case["special"]) == case["ids"]


@pytest.mark.parametrize("case", FROZEN, ids=lambda case: ascii(case["text"])[:40])
def test_decoding_gives_the_text_back(smollm: Tokenizer, case: dict[str, object]) -> None:
    assert smollm.decode(case["ids"], skip_special=False) == case["text"]


@given(st.text(), st.booleans())
def test_a_vocabulary_of_all_bytes_loses_no_text(
    bytes_tokenizer: Tokenizer, text: str, special: bool
) -> None:
    ids = bytes_tokenizer.encode(text, special=special)
    assert bytes_tokenizer.decode(ids, skip_special=False) == text


def test_control_tokens_are_recognised_only_where_asked(smollm: Tokenizer) -> None:
    text = "<|im_start|>x<|im_end|>"
    recognised = smollm.encode(text, special=True)
    assert (recognised[0], recognised[-1]) == (IM_START, IM_END)
    assert smollm.special_token_ids.isdisjoint(smollm.encode(text, special=False))


def test_user_defined_tokens_are_text_and_always_recognised(bytes_tokenizer: Tokenizer) -> None:
    tool = bytes_tokenizer.vocab_size - 1
    assert bytes_tokenizer.encode("<tool>", special=False) == [tool]
    assert bytes_tokenizer.decode([tool]) == "<tool>"


def test_the_longest_control_token_wins(new_facts: NewFacts) -> None:
    base = new_facts()
    tokens, types = ("<s", "<s>!", *base.tokens[2:]), base.token_types
    tokenizer = Tokenizer(new_facts(tokens=("<s", "<s>!", *tokens[2:]), token_types=types))
    assert tokenizer.encode("<s>!", special=True) == [1]


def test_control_tokens_have_no_text_unless_asked(bytes_tokenizer: Tokenizer) -> None:
    ids = bytes_tokenizer.encode("<s>he</s>", special=True)
    assert bytes_tokenizer.decode(ids) == "he"
    assert bytes_tokenizer.decode(ids, skip_special=False) == "<s>he</s>"


@pytest.mark.parametrize("text", ["he", "", "<s>he"])
def test_there_is_exactly_one_bos_where_the_model_wants_one(new_facts: NewFacts, text: str) -> None:
    ids = Tokenizer(new_facts(add_bos=True)).encode(text, special=True)
    assert ids.count(0) == 1
    assert ids[0] == 0


def test_a_bos_that_a_user_spells_does_not_count_as_one(new_facts: NewFacts) -> None:
    ids = Tokenizer(new_facts(add_bos=True)).encode("<s>", special=False)
    assert ids[0] == 0
    assert len(ids) == 4


def test_a_marker_keeps_a_control_token_apart_and_yields_nothing(smollm: Tokenizer) -> None:
    marked = smollm.encode("<\ufdd0|im_end|> a", special=True, marker="\ufdd0")
    assert marked == smollm.encode("<|im_end|> a", special=False)


@pytest.mark.parametrize("token", [-1, 261, 1 << 40])
def test_a_token_id_outside_the_vocabulary_is_refused(
    bytes_tokenizer: Tokenizer, token: int
) -> None:
    with pytest.raises(InvalidArgument, match=f"{token} is not in the vocabulary of 261"):
        bytes_tokenizer.decode([token])


def test_text_over_the_limit_is_refused_before_it_is_tokenized(new_facts: NewFacts) -> None:
    tokenizer = Tokenizer(new_facts(), max_text_bytes=4)
    assert len(tokenizer.encode("éé", special=False)) == 4
    with pytest.raises(InvalidArgument, match="5 bytes is over the limit of 4"):
        tokenizer.encode("ééa", special=False)


def test_a_lone_surrogate_is_refused(bytes_tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidArgument, match="character 1 is a lone surrogate"):
        bytes_tokenizer.encode("a\ud800", special=False)


def test_bytes_without_a_token_are_left_out(smollm: Tokenizer) -> None:
    """SmolLM's vocabulary has no token for byte 0x04; its own tokenizer drops it too."""
    assert smollm.encode("\x04ab", special=False) == smollm.encode("ab", special=False)


def test_an_unknown_step_is_refused_by_name(new_facts: NewFacts) -> None:
    cuts = (TextStep("rhyme"), TextStep("byte_level"))
    with pytest.raises(UnsupportedTokenizer, match=r"'rhyme'.*supported are: byte_level, split"):
        Tokenizer(new_facts(cuts=cuts))


def test_another_kind_of_tokenizer_is_refused_by_name(new_facts: NewFacts) -> None:
    with pytest.raises(UnsupportedTokenizer, match=r"'rwkv'.*supported are: bpe, sentencepiece"):
        Tokenizer(new_facts(kind="rwkv"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"merges": ("he",)}, "'he' is not two tokens"),
        ({"merges": ("h e x",)}, "'h e x' is not two tokens"),
        ({"merges": ("h zz",)}, "do not fit together"),
        ({"token_types": (1,)}, "261 tokens but 1 token types"),
        ({"cuts": ()}, "no step turns a text into bytes"),
        ({"cuts": (TextStep("split", "(", "isolated", ("regex",)), *BYTES)}, "cannot be built"),
        ({"bos_token_id": 261, "add_bos": True}, "BOS token 261"),
    ],
)
def test_contradictory_facts_are_refused(
    new_facts: NewFacts, overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidTokenizer, match=message):
        Tokenizer(new_facts(**overrides))


class Panic(BaseException):
    """As the Rust bindings raise: no Exception."""


class Panicking:
    def encode(self, gaps: object) -> None:
        raise Panic("capacity overflow")


class Interrupted:
    def encode(self, gaps: object) -> None:
        raise KeyboardInterrupt


def test_a_native_panic_becomes_an_error(
    new_facts: NewFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer(new_facts())
    monkeypatch.setattr(tokenizer, "_encoder", Panicking())
    with pytest.raises(TokenizerFailed, match="capacity overflow"):
        tokenizer.encode("he", special=False)


def test_an_interrupt_stays_one(new_facts: NewFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer(new_facts())
    monkeypatch.setattr(tokenizer, "_encoder", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode("he", special=False)

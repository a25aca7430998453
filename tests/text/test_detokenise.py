"""Streaming gives the text that decoding everything at once gives, in whole characters."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from inferflux.text import Detokeniser, Tokenizer

token_ids = st.lists(st.integers(0, 49151), max_size=40)
REPLACEMENT = "\ufffd"


def streamed(detokeniser: Detokeniser, ids: list[int], sizes: list[int]) -> list[str]:
    """What is given when ``ids`` come in groups of ``sizes``, then one by one; and at the end."""
    tokens = iter(ids)
    groups = [list(itertools.islice(tokens, size)) for size in sizes]
    groups += [[token] for token in tokens]
    return [*map(detokeniser.push, groups), detokeniser.finish()]


@given(token_ids, st.lists(st.integers(0, 5), max_size=10), st.booleans())
def test_the_pieces_join_to_the_decoded_whole(
    smollm: Tokenizer, ids: list[int], sizes: list[int], skip_special: bool
) -> None:
    pieces = streamed(Detokeniser(smollm, skip_special=skip_special), ids, sizes)
    assert "".join(pieces) == smollm.decode(ids, skip_special=skip_special)


@given(st.text(), st.text())
def test_no_valid_text_is_ever_shown_broken(
    bytes_tokenizer: Tokenizer, text: str, other: str
) -> None:
    text = text.replace(REPLACEMENT, "") + "é🙂" + other.replace(REPLACEMENT, "")
    pieces = streamed(Detokeniser(bytes_tokenizer), bytes_tokenizer.encode(text, special=False), [])
    assert not any(REPLACEMENT in piece for piece in pieces)
    assert "".join(pieces) == text


def test_a_character_appears_with_its_last_byte(bytes_tokenizer: Tokenizer) -> None:
    detokeniser = Detokeniser(bytes_tokenizer)
    ids = bytes_tokenizer.encode("a🙂b", special=False)
    assert [detokeniser.push([token]) for token in ids] == ["a", "", "", "", "🙂", "b"]


def test_half_a_character_at_the_end_becomes_one_replacement(bytes_tokenizer: Tokenizer) -> None:
    detokeniser = Detokeniser(bytes_tokenizer)
    ids = bytes_tokenizer.encode("🙂", special=False)[:3]
    assert detokeniser.push(ids) == ""
    assert detokeniser.finish() == REPLACEMENT


def test_bytes_that_cannot_complete_are_replaced_at_once(bytes_tokenizer: Tokenizer) -> None:
    detokeniser = Detokeniser(bytes_tokenizer)
    first = bytes_tokenizer.encode("é", special=False)[:1]
    assert detokeniser.push(first) == ""
    assert detokeniser.push(bytes_tokenizer.encode("x", special=False)) == REPLACEMENT + "x"


def test_control_tokens_are_not_shown_unless_asked(bytes_tokenizer: Tokenizer) -> None:
    ids = bytes_tokenizer.encode("he</s>", special=True)
    assert Detokeniser(bytes_tokenizer).push(ids) == "he"
    assert Detokeniser(bytes_tokenizer, skip_special=False).push(ids) == "he</s>"

"""A sequence's text does not depend on how its tokens are cut into steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.engine.messages import FinishReason, TokenLogprobs, TokenOutput
from inferflux.server.sequence import SequenceText

EOS = 2


def read(model, tokens, sizes, stops=(), reason=FinishReason.LENGTH):
    """The chunks of a sequence whose steps settle ``sizes`` tokens each."""
    text = SequenceText(0, model.tokenizer, stops, [EOS])
    chunks = []
    while tokens and text.finish_reason is None:
        size = next(sizes)
        scored = [TokenLogprobs(token, -1.0) for token in tokens[:size]]
        chunks.append(text.read(TokenOutput("r", tokens[:size], logprobs=scored)))
        tokens = tokens[size:]
    if text.finish_reason is None:
        chunks.append(text.read(TokenOutput("r", [], finish_reason=reason)))
    return [chunk for chunk in chunks if chunk is not None]


words = st.text("hello wé😀", max_size=12)


@given(words, st.lists(st.text("helo w😀", min_size=1, max_size=3), max_size=3), st.data())
def test_text_ends_before_the_first_stop_string_however_it_is_cut(model, text, stops, data):
    def sizes():
        while True:
            yield data.draw(st.integers(1, 4))

    tokens = model.tokenizer.encode(text, special=False)
    chunks = read(model, tokens, sizes(), stops)
    shown = "".join(chunk.text for chunk in chunks)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    is_stopped = any(stop in text for stop in stops)
    assert (shown == text) == (not is_stopped)
    assert chunks[-1].finish_reason == ("stop" if is_stopped else "length")


@given(words, st.data())
def test_tokens_shown_spell_the_text_shown(model, text, data):
    def sizes():
        while True:
            yield data.draw(st.integers(1, 4))

    tokens = model.tokenizer.encode(text, special=False)
    chunks = read(model, tokens, sizes())
    shown = [token for chunk in chunks for token in chunk.tokens]
    assert b"".join(token.spelling for token in shown).decode() == text
    for token in shown:
        if len(token.spelling.decode(errors="ignore")) > 0:
            assert text[token.text_offset :].startswith(token.text)


def test_a_stop_token_is_counted_and_not_shown(model):
    text = SequenceText(0, model.tokenizer, (), [EOS])
    hello = model.tokenizer.encode("hello", special=False)
    output = TokenOutput("r", [*hello, EOS], finish_reason=FinishReason.STOP)
    chunk = text.read(output)
    assert (chunk.text, chunk.finish_reason, text.num_tokens) == ("hello", "stop", 2)
    assert [token.id for token in chunk.tokens] == hello


def test_half_a_character_at_the_end_is_shown_as_a_replacement(model):
    text = SequenceText(0, model.tokenizer, (), [EOS])
    half = model.tokenizer.encode("é", special=False)[:1]
    assert text.read(TokenOutput("r", half)) is None
    assert text.read(TokenOutput("r", [], finish_reason=FinishReason.LENGTH)).text == "\ufffd"


@pytest.mark.parametrize("stop", ["lo", "o w"])
def test_tokens_after_a_stop_string_are_not_shown(model, stop):
    tokens = model.tokenizer.encode("hello world", special=False)
    (chunk,) = read(model, tokens, iter([len(tokens)]), [stop])
    assert chunk.text == "hello world".partition(stop)[0]
    assert all(token.text_offset < len(chunk.text) for token in chunk.tokens)

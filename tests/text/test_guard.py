"""No message can put a control token into the prompt; the model reads what the user wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.errors import InvalidArgument
from inferflux.text import ChatEncoder, ChatTemplate, Tokenizer
from inferflux.text.guard import MARKERS, ContentGuard, unused_marker

IM_START, IM_END = 1, 2
NEWLINE = 198
fragments = st.sampled_from(
    ["<|im_start|>", "<|im_end|>", "<|im_", "start|>", "end|>", "<", "<|", "|>", "a", " ", "\n"]
)
hostile_text = st.lists(fragments, max_size=8).map("".join)
Encode = Callable[..., list[int]]


@pytest.fixture(scope="module")
def chat(smollm_facts: TokenizerFacts, smollm: Tokenizer) -> Iterator[ChatEncoder]:
    template = ChatTemplate(smollm_facts)
    yield ChatEncoder(smollm, template)
    template.close()


@pytest.fixture(scope="module")
def parts_chat(smollm_facts: TokenizerFacts, smollm: Tokenizer) -> Iterator[ChatEncoder]:
    """A template that trims the parts of a message and puts them one behind the other."""
    text = "{% for part in messages[0].parts %}{{ part | trim }}{% endfor %}"
    template = ChatTemplate(replace(smollm_facts, chat_template=text))
    yield ChatEncoder(smollm, template)
    template.close()


def test_an_honest_chat_is_encoded_as_its_text(
    chat: ChatEncoder, smollm: Tokenizer, smollm_facts: TokenizerFacts
) -> None:
    expected = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na < b<|im_end|>\n"
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "a < b"}]
    assert chat.encode(messages, False) == smollm.encode(expected, special=True)


@given(hostile_text)
def test_only_the_template_writes_control_tokens(
    chat: ChatEncoder, smollm: Tokenizer, content: str
) -> None:
    ids = chat.encode([{"role": "system", "content": content}], False)
    assert [token for token in ids if token in smollm.special_token_ids] == [IM_START, IM_END]
    assert smollm.decode(ids) == f"system\n{content}\n"


@given(st.lists(hostile_text, max_size=5))
@example(["<|im_ \n", "end|>"])
@example(["<", "|", "im_end|>"])
def test_texts_cannot_join_to_a_control_token(
    parts_chat: ChatEncoder, smollm: Tokenizer, parts: list[str]
) -> None:
    ids = parts_chat.encode([{"parts": parts}])
    assert smollm.special_token_ids.isdisjoint(ids)
    assert smollm.decode(ids) == "".join(part.strip() for part in parts)


def test_keys_and_nested_values_are_protected_too() -> None:
    guard = ContentGuard(["<s>"])
    protected = guard.protect({"<s>": {"a": ["<s>", 1, None, "x<"]}}, "!")
    assert protected == {"<!s>": {"a": ["<!s>", 1, None, "x<!"]}}


def test_a_marker_that_a_user_wrote_is_not_used(chat: ChatEncoder, smollm: Tokenizer) -> None:
    content = MARKERS[0] + "<|im_end|>"
    ids = chat.encode([{"role": "system", "content": content}], False)
    assert smollm.decode(ids) == f"system\n{content}\n"


def test_text_with_every_marker_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="noncharacters"):
        unused_marker("".join(MARKERS))

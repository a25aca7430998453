"""A request means what it says: what is not honoured is refused by its name."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.errors import InvalidArgument
from inferflux.server.calls import InvalidField, Text, Tokens
from inferflux.server.json_body import check_depth
from inferflux.server.limits import LIMITS
from inferflux.server.schema import (
    CHAT_NO_OPS,
    COMPLETION_NO_OPS,
    MESSAGE_NO_OPS,
    ChatRequest,
    CompletionRequest,
    decode,
)

USER = {"role": "user", "content": "hi"}


def chat(**fields):
    body = {"model": "m", "messages": [USER]} | fields
    return decode(msgspec.json.encode(body), ChatRequest).to_call()


def completion(**fields):
    body = {"model": "m", "prompt": "a"} | fields
    return decode(msgspec.json.encode(body), CompletionRequest).to_call()


@pytest.mark.parametrize("name", sorted(CHAT_NO_OPS))
def test_chat_fields_are_accepted_where_they_change_nothing(name):
    for value in (None, *CHAT_NO_OPS[name]):
        assert chat(**{name: value}) == chat()


@pytest.mark.parametrize("name", sorted(COMPLETION_NO_OPS))
def test_completion_fields_are_accepted_where_they_change_nothing(name):
    for value in (None, *COMPLETION_NO_OPS[name]):
        assert completion(**{name: value}) == completion()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("presence_penalty", 0.1),
        ("frequency_penalty", -1),
        ("logit_bias", {"5": 1}),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("response_format", {"type": "json_object"}),
        ("audio", {"voice": "x"}),
        ("store", True),
        ("best_of", 1),  # of completions only
        ("no_such_field", None),
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("temperature", "hot"),
        ("top_p", 0),
        ("top_k", 0),
        ("min_p", 1.1),
        ("n", 0),
        ("n", LIMITS.sequences + 1),
        ("seed", 1.5),
        ("stop", [""]),
        ("stop", ["x"] * (LIMITS.stops + 1)),
        ("stop", "x" * (LIMITS.stop_bytes + 1)),
        ("stop", "é" * (LIMITS.stop_bytes // 2 + 1)),
        ("max_tokens", 0),
        ("max_completion_tokens", -1),
        ("top_logprobs", LIMITS.logprobs + 1),
        ("top_logprobs", 1),  # without logprobs
        ("stream", "yes"),
        ("messages", []),
        ("messages", "hi"),
        ("messages", [USER] * (LIMITS.messages + 1)),
        ("model", ""),
        ("model", None),
        ("determinism", "fastest"),
        ("determinism", True),
    ],
)
def test_a_chat_field_that_is_not_honoured_is_refused_by_name(name, value):
    with pytest.raises(InvalidField) as raised:
        chat(**{name: value})
    assert raised.value.field.startswith(name)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_of", 2),
        ("suffix", "x"),
        ("echo", "yes"),
        ("logprobs", LIMITS.logprobs + 1),
        ("logprobs", True),
        ("max_tokens", -1),
        ("prompt", []),
        ("prompt", None),
        ("prompt", ["a"] * (LIMITS.prompts + 1)),
        ("prompt", ["a", 1]),
        ("prompt", [1, "a"]),
        ("prompt", [1, [2]]),
        ("prompt", [-1]),
        ("prompt", {"text": "a"}),
        ("messages", [USER]),
        ("determinism", "batch-invariant"),
    ],
)
def test_a_completion_field_that_is_not_honoured_is_refused_by_name(name, value):
    with pytest.raises(InvalidField) as raised:
        completion(**{name: value})
    assert raised.value.field.startswith(name)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", LIMITS.sequences),
        ("stop", ["x" * LIMITS.stop_bytes] * LIMITS.stops),
        ("stop", "é" * (LIMITS.stop_bytes // 2)),
        ("logprobs", LIMITS.logprobs),
        ("prompt", ["a"] * LIMITS.prompts),
        ("temperature", 0),
        ("temperature", 2),
        ("top_p", 1),
        ("max_tokens", 0),
        ("user", "somebody"),
    ],
)
def test_the_last_value_within_a_limit_is_accepted(name, value):
    completion(**{name: value})


def test_a_message_field_that_would_change_the_prompt_is_refused_where_it_stands():
    with pytest.raises(InvalidField) as raised:
        chat(messages=[USER, USER | {"name": "bob"}])
    assert raised.value.field == "messages[1].name"


def test_an_assistant_message_is_accepted_as_clients_echo_it():
    echoed = {"role": "assistant", "content": "x"} | dict.fromkeys(MESSAGE_NO_OPS)
    assert chat(messages=[USER, echoed]) == chat(
        messages=[USER, {"role": "assistant", "content": "x"}]
    )


@pytest.mark.parametrize(
    "content", [[{"type": "image_url", "image_url": {"url": "http://x"}}], None, 5]
)
def test_content_that_is_no_text_is_refused(content):
    with pytest.raises(InvalidField, match="messages"):
        chat(messages=[{"role": "user", "content": content}])


def test_two_different_maxima_of_tokens_are_refused():
    assert chat(max_tokens=5, max_completion_tokens=5).sampling.max_tokens == 5
    with pytest.raises(InvalidField):
        chat(max_tokens=5, max_completion_tokens=6)


def test_a_list_of_integers_is_one_prompt_and_a_list_of_lists_several():
    assert completion(prompt=[1, 2]).prompts == (Tokens([1, 2]),)
    assert completion(prompt=[[1], [2]]).prompts == (Tokens([1]), Tokens([2]))
    assert completion(prompt=["a"]).prompts == (Text("a"),)


def test_depth_is_refused_just_past_its_limit():
    deepest = b"[" * LIMITS.json_depth + b"]" * LIMITS.json_depth
    check_depth(deepest)
    with pytest.raises(InvalidArgument, match="64"):
        check_depth(b"[" + deepest + b"]")


def test_brackets_in_strings_are_no_depth():
    check_depth(msgspec.json.encode({"a": "[" * 100, 'quote"{': "\\" + "{" * 100}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [*CompletionRequest.__struct_fields__, *COMPLETION_NO_OPS, "messages"]
) | st.text(max_size=3)


@given(st.dictionaries(names, json_values, max_size=6))
def test_any_object_is_understood_or_refused_with_a_typed_error(fields):
    for request_type in (ChatRequest, CompletionRequest):
        try:
            decode(msgspec.json.encode({"model": "m"} | fields), request_type).to_call()
        except InvalidArgument:
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused_with_a_typed_error(body):
    try:
        decode(body, ChatRequest)
    except InvalidArgument:
        return

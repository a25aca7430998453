"""What a chat template may read beside messages reaches it, or is refused by name."""

from __future__ import annotations

import json

import grpc
import openai
import pytest
from grpc.aio import AioRpcError

from inferflux.server.limits import LIMITS

USER = {"role": "user", "content": "hi"}
DOCUMENT = {"text": "<|im_end|>"}
TOOL = {"type": "function", "most": 5}


@pytest.fixture
def prompt(server, model):
    """The text of the prompt that the engine was asked to continue."""

    def read():
        return model.tokenizer.decode(server.engine.requests[-1].prompt, skip_special=False)

    return read


async def test_variables_and_documents_reach_the_template_over_http(client, prompt):
    extra = {"chat_template_kwargs": {"mood": "glad"}, "documents": [DOCUMENT]}
    await client.chat.completions.create(model="served", messages=[USER], extra_body=extra)
    assert json.dumps([DOCUMENT]) + "glad<|im_start|>assistant" in prompt()


async def test_variables_tools_documents_and_fields_reach_the_template_over_grpc(inference, prompt):
    messages = [{**USER, "fields": '{"thought": "hm", "role": "system"}'}]
    given = {"tools": json.dumps([TOOL]), "documents": json.dumps([DOCUMENT])}
    call = inference.call(
        "Chat", model="served", messages=messages, templateVariables='{"mood": "sad"}', **given
    )
    assert [answer async for answer in call]
    assert prompt().startswith("<|im_start|>user\nhi<|im_end|>\nhm" + json.dumps([TOOL]))
    assert json.dumps([DOCUMENT]) + "sad" in prompt()


async def test_what_a_client_passes_is_never_a_control_token(client, server, model):
    extra = {"chat_template_kwargs": {"mood": "<|im_end|>"}, "documents": [DOCUMENT]}
    await client.chat.completions.create(model="served", messages=[USER], extra_body=extra)
    ids = server.engine.requests[-1].prompt
    names = [model.tokenizer.decode([id], skip_special=False) for id in ids if id < 3]  # noqa: A001
    assert names == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chat_template_kwargs", []),
        ("chat_template_kwargs", {str(n): n for n in range(LIMITS.template_variables + 1)}),
        ("chat_template_kwargs", {"messages": []}),
        ("chat_template_kwargs", {"add_generation_prompt": False}),
        ("documents", {}),
        ("documents", ["text"]),
        ("documents", [{}] * (LIMITS.documents + 1)),
        ("chat_template", "{{ 1 }}"),
        ("tools", [TOOL]),
    ],
)
async def test_what_is_not_honoured_over_http_is_refused(client, server, field, value):
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(
            model="served", messages=[USER], extra_body={field: value}
        )
    assert field in str(raised.value) or next(iter(value)) in str(raised.value)
    assert not server.engine.requests


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("templateVariables", "[]"),
        ("templateVariables", "{"),
        ("templateVariables", "[" * 100_000),
        ("templateVariables", '{"messages": 1}'),
        ("tools", "{}"),
        ("tools", "[1]"),
        ("tools", json.dumps([{}] * (LIMITS.tools + 1))),
        ("documents", "null"),
    ],
)
async def test_what_is_not_honoured_over_grpc_is_refused(inference, server, field, value):
    with pytest.raises(AioRpcError) as raised:
        async for _ in inference.call("Chat", model="served", messages=[USER], **{field: value}):
            pass
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not server.engine.requests


async def test_a_refusal_reaches_the_client_in_the_templates_own_words(inference):
    message = {"role": "refused", "content": "x"}
    with pytest.raises(AioRpcError) as raised:
        async for _ in inference.call("Chat", model="served", messages=[message]):
            pass
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == 'the model\'s chat template refuses: no "refused" here'


@pytest.mark.parametrize(
    "hostile",
    [
        [{"role": "user", "content": "x" * (5 << 20)}],
        [{"role": "user", "content": "<|im_" * (1 << 20)}],
        [USER] * (LIMITS.messages + 1),
        [{"role": "user", "content": [{"type": "text", "text": ""}] * (LIMITS.content_parts + 1)}],
    ],
    ids=["long", "near control tokens", "many", "parts"],
)
async def test_hostile_chats_are_refused_within_limits_and_the_next_is_served(client, hostile):
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="served", messages=hostile)
    answer = await client.chat.completions.create(model="served", messages=[USER])
    assert answer.choices[0].message.content == "hello world"

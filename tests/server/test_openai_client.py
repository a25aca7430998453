"""The official client gets right answers from both OpenAI routes."""

from __future__ import annotations

import openai
import pytest

HELLO = [{"role": "user", "content": "hi"}]


async def test_a_chat_is_answered_with_true_usage(client, server):
    answer = await client.chat.completions.create(model="served", messages=HELLO)
    choice = answer.choices[0]
    assert choice.message.content == "hello world"
    assert choice.finish_reason == "stop"
    assert answer.id.startswith("chatcmpl-")
    asked = server.engine.requests[0]
    assert answer.usage.prompt_tokens == len(asked.prompt)
    assert answer.usage.completion_tokens == 7  # hello, " w", o, r, l, d and the stop token


async def test_the_chat_template_writes_the_prompt(client, server, model):
    await client.chat.completions.create(model="served", messages=HELLO)
    text = model.tokenizer.decode(server.engine.requests[0].prompt, skip_special=False)
    assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


async def test_content_parts_are_joined(client, server, model):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    await client.chat.completions.create(
        model="served", messages=[{"role": "user", "content": parts}]
    )
    assert "user\nab<" in model.tokenizer.decode(
        server.engine.requests[0].prompt, skip_special=False
    )


async def test_a_streamed_chat_is_the_same_text_and_ends_with_usage(client):
    stream = await client.chat.completions.create(
        model="served", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "hello world"
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == "stop"
    assert set(reasons[:-1]) == {None}
    assert not chunks[-1].choices
    assert chunks[-1].usage.completion_tokens == 7
    assert len({chunk.id for chunk in chunks}) == 1


async def test_chat_logprobs_name_each_token_and_its_alternatives(client):
    answer = await client.chat.completions.create(
        model="served", messages=HELLO, logprobs=True, top_logprobs=3
    )
    content = answer.choices[0].logprobs.content
    assert "".join(token.token for token in content) == "hello world"
    assert bytes(content[0].bytes) == b"hello"
    assert [len(token.top_logprobs) for token in content] == [3] * len(content)


async def test_max_tokens_ends_an_answer_with_length(client):
    answer = await client.chat.completions.create(
        model="served", messages=HELLO, max_completion_tokens=2
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 2


async def test_n_gives_choices_with_seeds_of_their_own(client, server):
    answer = await client.chat.completions.create(model="served", messages=HELLO, n=3, seed=7)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    seeds = [request.sampling.seed for request in server.engine.requests]
    assert seeds[0] == 7
    assert len(set(seeds)) == 3


async def test_several_prompts_give_choices_in_their_order(client, server):
    answer = await client.completions.create(
        model="served", prompt=["a", "b"], n=2, max_tokens=1, echo=True
    )
    assert [choice.text for choice in answer.choices] == ["ahello", "ahello", "bhello", "bhello"]


async def test_a_completion_takes_token_ids(client, server):
    await client.completions.create(model="served", prompt=[5, 6, 7])
    await client.completions.create(model="served", prompt=[[5, 6], [7]])
    assert [request.prompt for request in server.engine.requests] == [[5, 6, 7], [5, 6], [7]]


async def test_ids_are_unique(client):
    ids = {(await client.completions.create(model="served", prompt="a")).id for _ in range(5)}
    assert len(ids) == 5


async def test_a_stop_string_ends_the_text_and_frees_the_sequence(client, server):
    server.engine.says("hello world and more", ends=False)
    answer = await client.completions.create(
        model="served", prompt="a", stop=["or", "zzz"], max_tokens=50, logprobs=0
    )
    assert answer.choices[0].text == "hello w"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].logprobs.tokens == ["hello", " w"]
    assert server.engine.aborted == [server.engine.requests[0].request_id]


async def test_text_held_back_for_a_stop_string_comes_when_the_answer_ends(client, server):
    server.engine.says("hello w")
    stream = await client.completions.create(
        model="served", prompt="a", stop=" wide", stream=True, max_tokens=9
    )
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "hello w"


async def test_echo_scores_the_prompt_without_writing_anything(client):
    """What evaluation harnesses ask for."""
    answer = await client.completions.create(
        model="served", prompt="hello hi", echo=True, logprobs=2, max_tokens=0
    )
    choice = answer.choices[0]
    assert choice.text == "hello hi"
    assert choice.finish_reason == "length"
    assert choice.logprobs.tokens == ["hello", " ", "h", "i"]
    assert choice.logprobs.text_offset == [0, 5, 6, 7]
    assert choice.logprobs.token_logprobs[0] is None
    assert all(logprob < 0 for logprob in choice.logprobs.token_logprobs[1:])
    assert choice.logprobs.top_logprobs[0] is None
    assert [len(top) for top in choice.logprobs.top_logprobs[1:]] == [2, 2, 2]
    assert answer.usage.completion_tokens == 0


async def test_echo_goes_on_into_the_output(client):
    answer = await client.completions.create(
        model="served", prompt="hi ", echo=True, logprobs=1, max_tokens=1
    )
    assert answer.choices[0].text == "hi hello"
    assert answer.choices[0].logprobs.tokens == ["h", "i", " ", "hello"]
    assert answer.choices[0].logprobs.text_offset == [0, 1, 2, 3]


async def test_a_character_split_over_tokens_arrives_whole(client, server):
    server.engine.says("a😀b")
    stream = await client.completions.create(model="served", prompt="a", stream=True)
    texts = [chunk.choices[0].text async for chunk in stream]
    assert "".join(texts) == "a😀b"
    assert "😀" in texts


async def test_tokens_that_are_no_character_are_spelled_as_bytes(client, server):
    server.engine.says("é")
    answer = await client.completions.create(model="served", prompt="a", logprobs=0)
    assert answer.choices[0].logprobs.tokens == ["bytes:\\xc3", "bytes:\\xa9"]


async def test_models_are_listed_and_found(client):
    assert [model.id async for model in client.models.list()] == ["served"]
    assert (await client.models.retrieve("served")).owned_by == "inferflux"


async def test_the_model_answers_to_what_its_file_calls_it(client):
    answer = await client.completions.create(model="tiny", prompt="a")
    assert answer.model == "served"


async def test_another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as raised:
        await client.completions.create(model="gpt-9", prompt="a")
    assert raised.value.code == "model_not_found"


async def test_a_prompt_beyond_the_context_is_refused_with_the_numbers(client):
    with pytest.raises(openai.BadRequestError) as raised:
        await client.completions.create(model="served", prompt="x" * 129)
    assert raised.value.code == "context_length_exceeded"
    assert "129" in raised.value.message
    assert "128" in raised.value.message


async def test_a_prompt_that_fills_the_context_can_be_scored_but_not_continued(client):
    full = "x" * 128
    await client.completions.create(model="served", prompt=full, max_tokens=0, echo=True)
    with pytest.raises(openai.BadRequestError):
        await client.completions.create(model="served", prompt=full, max_tokens=1)


async def test_more_tokens_than_the_context_has_room_for_are_cut_to_the_room(client, server):
    await client.completions.create(model="served", prompt="x" * 120, max_tokens=100)
    assert server.engine.requests[0].max_tokens == 8

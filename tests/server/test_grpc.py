"""A gRPC client that knows only reflection gets right answers, and refusals it can act on."""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

STOP, LENGTH = 1, 2
USER = [{"role": "user", "content": "hi"}]


async def collect(call):
    return [message async for message in call]


def error_code(error: grpc.aio.AioRpcError) -> str:
    return dict(error.trailing_metadata())["inferflux-error"]


async def test_generate_streams_text_and_ends_with_usage(inference, server, model):
    messages = await collect(inference.call("Generate", model="served", text="say hello"))
    assert "".join(message.text for message in messages) == "hello world"
    ids = [token for message in messages for token in message.token_ids]
    assert model.tokenizer.decode(ids) == "hello world"
    assert [message.finish_reason for message in messages][-1] == STOP
    assert not any(message.HasField("usage") for message in messages[:-1])
    assert messages[-1].usage.prompt_tokens == len(server.engine.requests[0].prompt)
    assert messages[-1].usage.completion_tokens == 7


async def test_generate_takes_token_ids(inference, server):
    await collect(inference.call("Generate", model="served", tokens={"ids": [5, 6]}))
    assert server.engine.requests[0].prompt == [5, 6]


async def test_chat_writes_the_prompt_with_the_template(inference, server, model):
    messages = await collect(inference.call("Chat", model="served", messages=USER))
    assert "".join(message.text for message in messages) == "hello world"
    text = model.tokenizer.decode(server.engine.requests[0].prompt, skip_special=False)
    assert text.startswith("<|im_start|>user\nhi<|im_end|>")


async def test_parameters_reach_the_engine(inference, server):
    sampling = {
        "max_tokens": 3,
        "temperature": 0.0,
        "top_k": 5,
        "top_p": 0.5,
        "min_p": 0.25,
        "seed": str(2**64 - 1),
        "logprobs": 2,
    }
    messages = await collect(
        inference.call("Generate", model="served", text="a", sampling=sampling)
    )
    asked = server.engine.requests[0]
    assert asked.max_tokens == 3
    params = asked.sampling
    assert (params.temperature, params.top_k, params.top_p, params.min_p) == (0.0, 5, 0.5, 0.25)
    assert (params.seed, params.logprobs) == (2**64 - 1, 2)
    scored = [logprob for message in messages for logprob in message.logprobs]
    assert [len(logprob.top) for logprob in scored] == [2, 2, 2]
    assert messages[-1].finish_reason == LENGTH


async def test_echo_gives_the_first_token_no_logprob(inference):
    messages = await collect(
        inference.call(
            "Generate",
            model="served",
            text="hi",
            echo=True,
            sampling={"max_tokens": 0, "logprobs": 1},
        )
    )
    scored = [logprob for message in messages for logprob in message.logprobs]
    assert [logprob.HasField("logprob") for logprob in scored] == [False, True]


async def test_n_sequences_are_told_apart_by_their_index(inference):
    messages = await collect(
        inference.call("Generate", model="served", text="a", sampling={"n": 2})
    )
    for index in (0, 1):
        assert "".join(m.text for m in messages if m.index == index) == "hello world"
    assert [message.HasField("usage") for message in messages].count(True) == 1


async def test_models_and_tokens_can_be_asked_for(inference):
    listed = await inference.call("ListModels")
    assert [model.name for model in listed.models] == ["served"]
    model = await inference.call("GetModel", model="served")
    assert (model.architecture, model.context_length) == ("llama", 128)
    tokens = await inference.call("Tokenize", model="served", text="hello<|im_end|>", special=True)
    assert list(tokens.ids) == [262, 2]


@pytest.mark.parametrize(
    ("fields", "status", "code", "says"),
    [
        ({"model": "gpt-9", "text": "a"}, grpc.StatusCode.NOT_FOUND, "model_not_found", "gpt-9"),
        ({"model": "served"}, grpc.StatusCode.INVALID_ARGUMENT, "invalid_argument", "prompt"),
        (
            {"model": "served", "text": "x" * 129},
            grpc.StatusCode.INVALID_ARGUMENT,
            "context_length_exceeded",
            "129",
        ),
        (
            {"model": "served", "text": "a", "sampling": {"n": 5}},
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_argument",
            "`$.n`",
        ),
        (
            {"model": "served", "text": "a", "sampling": {"temperature": "NaN"}},
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_argument",
            "temperature",
        ),
        (
            {"model": "served", "text": "a", "sampling": {"presence_penalty": 0.5}},
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_argument",
            "presence_penalty",
        ),
        (
            {"model": "served", "tokens": {"ids": [4_000_000]}},
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_argument",
            "4000000",
        ),
        (
            {"model": "served", "text": "a", "determinism": 7},
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_argument",
            "determinism: 7",
        ),
    ],
)
async def test_what_is_not_honoured_is_refused_by_name(inference, fields, status, code, says):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(inference.call("Generate", **fields))
    assert raised.value.code() is status
    assert error_code(raised.value) == code
    assert says in raised.value.details()


async def test_a_known_field_at_its_no_op_value_is_accepted(inference):
    sampling = {"n": 1, "presence_penalty": 0.0}
    assert await collect(inference.call("Generate", model="served", text="a", sampling=sampling))


@pytest.mark.parametrize("where", ["message", "nested"])
async def test_an_unknown_field_is_refused(inference, where):
    request = inference.message("Generate", model="served", text="a", sampling={"n": 1})
    unknown = b"\x98\x06\x01"  # field 99, a varint
    (request if where == "message" else request.sampling).MergeFromString(unknown)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(inference.send("Generate", request))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "field 99" in raised.value.details()


async def test_cancelling_aborts_the_sequence(inference, server):
    server.engine.hangs_after("a")
    call = inference.call("Generate", model="served", text="a")
    await call.read()
    call.cancel()
    await server.engine.all_freed.wait()
    assert server.engine.aborted == [server.engine.requests[0].request_id]


async def test_a_deadline_aborts_the_sequence(inference, server):
    server.engine.hangs_after("")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(inference.call("Generate", timeout=0.05, model="served", text="a"))
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await server.engine.all_freed.wait()


async def test_a_full_queue_is_resource_exhausted(inference, server):
    server.engine.max_open = 1
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(inference.call("Generate", model="served", text="a", sampling={"n": 2}))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_code(raised.value) == "queue_full"
    assert not server.engine.open, "the sequence that was taken is freed again"


async def test_an_unforeseen_error_never_tells_its_text(inference, server, monkeypatch):
    def fail(request):
        raise ValueError("secret")

    monkeypatch.setattr(server.engine, "submit", fail)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(inference.call("Generate", model="served", text="a"))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in raised.value.details()


async def test_a_message_beyond_the_limit_is_refused(inference):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await inference.call("Tokenize", model="served", text="a" * (8 << 20))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_follows_the_engine(channel, server):
    health = HealthStub(channel)
    request = HealthCheckRequest(service="inferflux.v1.Inference")
    assert (await health.Check(request)).status == HealthCheckResponse.SERVING
    server.engine.is_ready = False
    assert (await health.Check(request)).status == HealthCheckResponse.NOT_SERVING


async def test_a_health_watcher_is_told_of_the_change(channel, server):
    watch = HealthStub(channel).Watch(HealthCheckRequest())
    assert (await watch.read()).status == HealthCheckResponse.SERVING
    server.engine.is_ready = False
    assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def test_metadata_beyond_the_limit_is_refused(channel, inference):
    rpc = channel.unary_unary("/inferflux.v1.Inference/ListModels")
    assert await rpc(b"", metadata=(("x-large", "y" * 8000),))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rpc(b"", metadata=(("x-large", "y" * (17 << 10)),))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_compressed_message_is_refused(channel):
    rpc = channel.unary_unary("/inferflux.v1.Inference/ListModels")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rpc(b"", compression=grpc.Compression.Gzip)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED

"""The HTTP routes' handlers: they translate, and decide nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp

from inferflux.errors import InferFluxError
from inferflux.server import answers, errors, sse
from inferflux.server.answers import AnswerFormat, ChatFormat, CompletionFormat, Json
from inferflux.server.calls import Call, Chunk
from inferflux.server.exchange import Exchange
from inferflux.server.generation import Generation
from inferflux.server.schema import ChatRequest, CompletionRequest, decode

_Body = TypeVar("_Body", ChatRequest, CompletionRequest)


class RouteNotFound(InferFluxError):
    """No route is declared at this path."""

    code = "route_not_found"


def json_response(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def chat_completions(exchange: Exchange) -> ASGIApp:
    body, call = await _decode(exchange, ChatRequest)
    return await _answer(exchange, body, call, ChatFormat(has_logprobs=body.logprobs))


async def completions(exchange: Exchange) -> ASGIApp:
    body, call = await _decode(exchange, CompletionRequest)
    return await _answer(exchange, body, call, CompletionFormat(num_logprobs=body.logprobs))


async def list_models(exchange: Exchange) -> ASGIApp:
    return json_response({"object": "list", "data": [_model(exchange)]})


async def get_model(exchange: Exchange) -> ASGIApp:
    exchange.service.model.check_name(exchange.request.path_params["model"])
    return json_response(_model(exchange))


async def livez(exchange: Exchange) -> ASGIApp:
    return json_response({"status": "live"})


async def readyz(exchange: Exchange) -> ASGIApp:
    is_ready = exchange.service.is_ready
    return json_response(
        {"status": "ready" if is_ready else "not ready"}, status=200 if is_ready else 503
    )


async def metrics(exchange: Exchange) -> ASGIApp:
    from inferflux.server.exposition import CONTENT_TYPE, exposition  # no start waits for it

    text = exposition(exchange.telemetry.counts, exchange.service.engine.stats)
    return Response(text, media_type=CONTENT_TYPE)


async def undeclared(exchange: Exchange) -> ASGIApp:
    raise RouteNotFound("there is no such route; the API is below /v1")


async def _decode(exchange: Exchange, body_type: type[_Body]) -> tuple[_Body, Call]:
    def both() -> tuple[_Body, Call]:
        body = decode(exchange.body, body_type)
        return body, body.to_call()

    return await exchange.service.offload.run_if_large(len(exchange.body), both)


async def _answer(
    exchange: Exchange, body: ChatRequest | CompletionRequest, call: Call, form: AnswerFormat
) -> ASGIApp:
    opened = await exchange.service.open(call, exchange.record)
    generation = await exchange.held.enter_async_context(aclosing(opened))
    if body.stream:
        events = _events(generation, exchange, form, body.stream_options.include_usage)
        return sse.EventStream(events)
    return json_response(await _whole(generation, exchange.service.model.name, form))


async def _whole(generation: Generation, model: str, form: AnswerFormat) -> Json:
    """All chunks as one answer, its choices in order."""
    chunks: list[list[Chunk]] = [[] for _ in range(generation.num_sequences)]
    async for chunk in generation:
        chunks[chunk.index].append(chunk)
    answer = answers.event(generation, model, form.object_name, map(form.choice, chunks))
    return answer | {"usage": answers.usage(generation.usage)}


async def _events(
    generation: Generation, exchange: Exchange, form: AnswerFormat, includes_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The answer as SSE frames.  What fails after the headers are sent becomes an event."""
    try:
        async for event in _stream(generation, exchange.service.model.name, form):
            yield sse.encode(event | {"usage": None} if includes_usage else event)
        if includes_usage:
            usage = {"usage": answers.usage(generation.usage)}
            name = exchange.service.model.name
            yield sse.encode(answers.event(generation, name, form.event_object_name, ()) | usage)
        yield sse.DONE
    except Exception as error:  # the door is a boundary: a stream is never cut in silence
        exchange.record.failed(error)
        yield sse.encode(errors.body(error, exchange.record.request_id))


async def _stream(
    generation: Generation, model: str, form: AnswerFormat
) -> AsyncGenerator[Json, None]:
    """Each sequence's opening, if the route has one, then its chunks."""
    unopened = set(range(generation.num_sequences))
    async for chunk in generation:
        opening = form.opening(chunk.index) if chunk.index in unopened else None
        unopened.discard(chunk.index)
        if opening is not None:
            yield answers.event(generation, model, form.event_object_name, (opening,))
        choice = form.event_choice(chunk)
        yield answers.event(generation, model, form.event_object_name, (choice,))


def _model(exchange: Exchange) -> Json:
    model = exchange.service.model
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "inferflux",
        "context_length": exchange.service.engine.hello.context_length,
    }

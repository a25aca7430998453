"""The gRPC door's methods: they translate, and decide nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

import grpc.aio

from inferflux.server import grpc_translation as translation
from inferflux.server.calls import Call
from inferflux.server.limits import LIMITS
from inferflux.server.proto import inferflux_pb2 as pb
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import RequestRecord

_Request = TypeVar("_Request", pb.GenerateRequest, pb.ChatRequest)
Responses = AsyncGenerator[pb.GenerateResponse, None]


class InferenceServicer:
    """`inferflux.v1.Inference`.  The route table says which of these methods are offered."""

    def __init__(self, service: GenerationService) -> None:
        self._service = service

    def Generate(  # noqa: N802 - gRPC's spelling
        self,
        request: pb.GenerateRequest,
        context: grpc.aio.ServicerContext,
        record: RequestRecord,
    ) -> Responses:
        """Stream one completion.  A client that cancels aborts it."""
        return self._answer(request, translation.generate_call, context, record)

    def Chat(  # noqa: N802
        self, request: pb.ChatRequest, context: grpc.aio.ServicerContext, record: RequestRecord
    ) -> Responses:
        """Stream the answer to a conversation.  A client that cancels aborts it."""
        return self._answer(request, translation.chat_call, context, record)

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,
        context: grpc.aio.ServicerContext,
        record: RequestRecord,
    ) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=[self._model()])

    async def GetModel(  # noqa: N802
        self, request: pb.GetModelRequest, context: grpc.aio.ServicerContext, record: RequestRecord
    ) -> pb.Model:
        self._service.model.check_name(request.model)
        return self._model()

    async def Tokenize(  # noqa: N802
        self, request: pb.TokenizeRequest, context: grpc.aio.ServicerContext, record: RequestRecord
    ) -> pb.TokenizeResponse:
        ids = await self._service.tokenize(request.model, request.text, special=request.special)
        return pb.TokenizeResponse(ids=ids)

    async def _answer(
        self,
        request: _Request,
        to_call: Callable[[_Request, float], Call],
        context: grpc.aio.ServicerContext,
        record: RequestRecord,
    ) -> Responses:
        call = await self._service.offload.run_if_large(
            request.ByteSize(), to_call, request, _seconds_left(context)
        )
        has_logprobs = call.sampling.logprobs is not None
        async with aclosing(await self._service.open(call, record)) as generation:
            num_open = generation.num_sequences
            async for chunk in generation:
                message = translation.response(generation, chunk, has_logprobs=has_logprobs)
                num_open -= chunk.finish_reason is not None
                if num_open == 0:
                    message.usage.CopyFrom(translation.usage(generation.usage))
                yield message

    def _model(self) -> pb.Model:
        model, hello = self._service.model, self._service.engine.hello
        return pb.Model(
            name=model.name,
            architecture=model.facts.architecture,
            context_length=hello.context_length,
            vocab_size=model.facts.vocab_size,
            artifact_digest=model.artifact_digest,
            target=hello.target,
        )


def _seconds_left(context: grpc.aio.ServicerContext) -> float:
    """The client's deadline where it set one, but never more than the server gives."""
    remaining = context.time_remaining()
    return LIMITS.request_seconds if remaining is None else min(remaining, LIMITS.request_seconds)

"""The gRPC door: one channel for all requests, as a client library would have."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import grpc

from inferflux.bench.errors import BenchFailed
from inferflux.bench.serving.door import Message, Refused
from inferflux.server.proto import inferflux_pb2 as pb
from inferflux.server.proto import inferflux_pb2_grpc as pb_grpc

_NO_ROOM = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


class GrpcDoor:
    """``model`` None is the only one the server has."""

    name = "grpc"

    def __init__(self, address: str, model: str | None = None) -> None:
        self._address = address
        self._model = model
        # Loopback is never reached through a proxy, whatever the environment says.
        self._channel = grpc.aio.insecure_channel(address, (("grpc.enable_http_proxy", 0),))
        self._stub = pb_grpc.InferenceStub(self._channel)  # type: ignore[no-untyped-call]

    async def generate(
        self, prompt: Sequence[int], max_tokens: int
    ) -> AsyncGenerator[Message, None]:
        request = pb.GenerateRequest(
            model=await self._name_of_model(),
            tokens=pb.TokenIds(ids=prompt),
            sampling=pb.Sampling(max_tokens=max_tokens, temperature=0.0),
        )
        seen = 0
        try:
            async for response in self._stub.Generate(request):
                # The last message counts all; a token that ends the text is not among its ids.
                total = max(seen + len(response.token_ids), response.usage.completion_tokens)
                if total > seen:
                    yield Message(total - seen)
                seen = total
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def close(self) -> None:
        await self._channel.close()

    async def _name_of_model(self) -> str:
        if self._model is None:
            listed = await self._stub.ListModels(pb.ListModelsRequest())
            self._model = listed.models[0].name
        return self._model

    def _failure(self, error: grpc.aio.AioRpcError) -> BenchFailed:
        kind = Refused if error.code() in _NO_ROOM else BenchFailed
        return kind(f"grpc://{self._address}: {error.code().name}: {error.details()}")

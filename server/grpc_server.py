"""The gRPC door: the route table as method handlers, and the server that carries them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.reflection import aio as reflection

from inferflux.server import errors
from inferflux.server.exchange import ClientLeft
from inferflux.server.grpc_health import HealthServicer
from inferflux.server.grpc_servicer import InferenceServicer
from inferflux.server.grpc_translation import refuse_unknown_fields
from inferflux.server.limits import LIMITS
from inferflux.server.routes import GRPC_ROUTES, HEALTH, INFERENCE, REFLECTION, GrpcRoute
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import RequestRecord, Telemetry

OPTIONS: Final = (
    ("grpc.max_receive_message_length", LIMITS.body_bytes),
    ("grpc.max_send_message_length", LIMITS.body_bytes),
    ("grpc.max_metadata_size", LIMITS.metadata_bytes),
    ("grpc.absolute_max_metadata_size", LIMITS.metadata_bytes),
    ("grpc.max_concurrent_streams", LIMITS.concurrent_streams),
    ("grpc.keepalive_time_ms", 60_000),  # a peer that is gone without a word is noticed
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # and one that pings more is cut
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.compression_enabled_algorithms_bitset", 1),  # none: a small request stays small
    ("grpc.so_reuseport", 0),  # two servers on one port would share its calls
)

_Unary = Callable[[Any, grpc.aio.ServicerContext, RequestRecord], Awaitable[Message]]
_Streaming = Callable[[Any, grpc.aio.ServicerContext, RequestRecord], AsyncGenerator[Message, None]]


def grpc_server(service: GenerationService, telemetry: Telemetry) -> grpc.aio.Server:
    """What is declared in the route table, and nothing else."""
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=LIMITS.connections)
    server.add_generic_rpc_handlers(tuple(_handlers(service, telemetry)))
    return server


def _handlers(service: GenerationService, telemetry: Telemetry) -> Iterator[grpc.GenericRpcHandler]:
    inference = InferenceServicer(service)
    names = (INFERENCE, HEALTH, REFLECTION)
    servicers = {
        HEALTH: HealthServicer(lambda: service.is_ready, frozenset({INFERENCE})),
        REFLECTION: reflection.ReflectionServicer(names),
    }
    for name, routes in groupby(GRPC_ROUTES, attrgetter("service")):
        yield grpc.method_handlers_generic_handler(
            name,
            {
                route.method: _own_handler(route, inference, telemetry)
                if name == INFERENCE
                else _handler(route, partial(route.handler, servicers[name]))
                for route in routes
            },
        )


def _own_handler(
    route: GrpcRoute, servicer: InferenceServicer, telemetry: Telemetry
) -> grpc.RpcMethodHandler:
    method: Any = partial(route.handler, servicer)
    observe = _observed_stream if _descriptor(route).server_streaming else _observed_unary
    return _handler(route, observe(route, method, telemetry))


def _handler(route: GrpcRoute, behaviour: Callable[..., Any]) -> grpc.RpcMethodHandler:
    """The behaviour with the types that the method has in its .proto file."""
    method = _descriptor(route)
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    return make(
        behaviour,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


def _descriptor(route: GrpcRoute) -> Any:
    service = descriptor_pool.Default().FindServiceByName(route.service)
    return service.methods_by_name[route.method]


def _observed_unary(
    route: GrpcRoute, method: _Unary, telemetry: Telemetry
) -> Callable[..., Awaitable[Message]]:
    async def answer(request: Message, context: grpc.aio.ServicerContext) -> Message:
        async with _boundary(route, context, telemetry) as record:
            refuse_unknown_fields(request)
            return await method(request, context, record)
        raise AssertionError("aborting a call raises")

    return answer


def _observed_stream(
    route: GrpcRoute, method: _Streaming, telemetry: Telemetry
) -> Callable[..., AsyncGenerator[Message, None]]:
    async def answer(
        request: Message, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[Message, None]:
        async with _boundary(route, context, telemetry) as record:
            refuse_unknown_fields(request)
            async with aclosing(method(request, context, record)) as responses:
                async for response in responses:
                    yield response

    return answer


@asynccontextmanager
async def _boundary(
    route: GrpcRoute, context: grpc.aio.ServicerContext, telemetry: Telemetry
) -> AsyncIterator[RequestRecord]:
    """Count and log a call; an error becomes a status, whatever it is."""
    with telemetry.request(route.path, route.access.log_level) as record:
        try:
            yield record
        except asyncio.CancelledError:
            record.failed(ClientLeft("the client cancelled the call"))
            raise
        except (
            Exception
        ) as error:  # the door is a boundary: the client gets a status, never a trace
            record.failed(error)
            message = errors.message(error, record.request_id)
            metadata = errors.trailing_metadata(error)
            await context.abort(errors.status(error).grpc, message, metadata)

"""The one route table.  Both doors are built from it; what is not declared here is denied."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio as reflection
from starlette.types import ASGIApp

from inferflux.server import http_handlers
from inferflux.server.exchange import Exchange
from inferflux.server.grpc_health import HealthServicer
from inferflux.server.grpc_servicer import InferenceServicer
from inferflux.server.proto import inferflux_pb2 as pb
from inferflux.server.schema import ChatRequest, CompletionRequest


class Scope(StrEnum):
    """What a caller must be allowed to do; until keys exist, loopback is allowed all of it."""

    PUBLIC = "public"
    GENERATE = "generate"
    READ_MODELS = "models:read"
    READ_METRICS = "metrics:read"


class RateClass(StrEnum):
    """Which budget a request counts against."""

    PROBE = "probe"
    LIGHT = "light"
    GENERATION = "generation"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route, and under which name its use is recorded."""

    scope: Scope
    rate_class: RateClass
    audit_action: str

    @property
    def log_level(self) -> int:
        """Probes come every second and say nothing."""
        return logging.DEBUG if self.rate_class is RateClass.PROBE else logging.INFO


GENERATION: Final = Access(Scope.GENERATE, RateClass.GENERATION, "model.generate")
TOKENIZING: Final = Access(Scope.GENERATE, RateClass.LIGHT, "model.tokenize")
READING_MODELS: Final = Access(Scope.READ_MODELS, RateClass.LIGHT, "model.read")
READING_METRICS: Final = Access(Scope.READ_METRICS, RateClass.LIGHT, "metrics.read")
READING_SCHEMA: Final = Access(Scope.READ_MODELS, RateClass.LIGHT, "schema.read")
PROBING: Final = Access(Scope.PUBLIC, RateClass.PROBE, "server.probe")


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A method and a path.  A body is read only where there is a schema for it."""

    method: str
    path: str
    schema: type | None
    access: Access
    handler: Callable[[Exchange], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class GrpcRoute:
    """A method of a gRPC service; ``handler`` is a method of the servicer's class."""

    service: str
    method: str
    schema: type
    access: Access
    handler: Callable[..., AsyncGenerator[Any, None] | Awaitable[Any]]

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.method}"


HTTP_ROUTES: Final = (
    HttpRoute(
        "POST", "/v1/chat/completions", ChatRequest, GENERATION, http_handlers.chat_completions
    ),
    HttpRoute("POST", "/v1/completions", CompletionRequest, GENERATION, http_handlers.completions),
    HttpRoute("GET", "/v1/models", None, READING_MODELS, http_handlers.list_models),
    HttpRoute("GET", "/v1/models/{model:path}", None, READING_MODELS, http_handlers.get_model),
    HttpRoute("GET", "/metrics", None, READING_METRICS, http_handlers.metrics),
    HttpRoute("GET", "/livez", None, PROBING, http_handlers.livez),
    HttpRoute("GET", "/readyz", None, PROBING, http_handlers.readyz),
)
UNDECLARED: Final = HttpRoute("", "undeclared", None, PROBING, http_handlers.undeclared)

INFERENCE: Final = "inferflux.v1.Inference"
HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = "grpc.reflection.v1alpha.ServerReflection"

_SERVICER = InferenceServicer
_REFLECTED = reflection.ReflectionServicer.ServerReflectionInfo

GRPC_ROUTES: Final = (
    GrpcRoute(INFERENCE, "Generate", pb.GenerateRequest, GENERATION, _SERVICER.Generate),
    GrpcRoute(INFERENCE, "Chat", pb.ChatRequest, GENERATION, _SERVICER.Chat),
    GrpcRoute(INFERENCE, "ListModels", pb.ListModelsRequest, READING_MODELS, _SERVICER.ListModels),
    GrpcRoute(INFERENCE, "GetModel", pb.GetModelRequest, READING_MODELS, _SERVICER.GetModel),
    GrpcRoute(INFERENCE, "Tokenize", pb.TokenizeRequest, TOKENIZING, _SERVICER.Tokenize),
    GrpcRoute(HEALTH, "Check", health_pb2.HealthCheckRequest, PROBING, HealthServicer.Check),
    GrpcRoute(HEALTH, "Watch", health_pb2.HealthCheckRequest, PROBING, HealthServicer.Watch),
    GrpcRoute(
        REFLECTION,
        "ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest,
        READING_SCHEMA,
        _REFLECTED,
    ),
)

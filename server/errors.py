"""The one place where an error of the domain becomes a status of a door."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from inferflux.errors import InferFluxError

ERROR_METADATA_KEY = "inferflux-error"
RETRY_AFTER_SECONDS = 1
UNKNOWN_ERROR = "the server failed; this is its fault, not the request's"


@dataclass(frozen=True, slots=True)
class Status:
    """What a code is called at each door."""

    http: int
    grpc: grpc.StatusCode
    kind: str  # OpenAI's error type
    is_retryable: bool = False


_INTERNAL = Status(500, grpc.StatusCode.INTERNAL, "server_error")
_INVALID = Status(400, grpc.StatusCode.INVALID_ARGUMENT, "invalid_request_error")

_STATUSES = {
    "invalid_argument": _INVALID,
    "context_length_exceeded": _INVALID,
    "model_not_found": Status(404, grpc.StatusCode.NOT_FOUND, "invalid_request_error"),
    "route_not_found": Status(404, grpc.StatusCode.UNIMPLEMENTED, "invalid_request_error"),
    "method_not_allowed": Status(405, grpc.StatusCode.UNIMPLEMENTED, "invalid_request_error"),
    "request_timeout": Status(408, grpc.StatusCode.DEADLINE_EXCEEDED, "invalid_request_error"),
    "request_too_large": Status(413, grpc.StatusCode.RESOURCE_EXHAUSTED, "invalid_request_error"),
    "unsupported_encoding": Status(415, grpc.StatusCode.UNIMPLEMENTED, "invalid_request_error"),
    "host_not_allowed": Status(421, grpc.StatusCode.PERMISSION_DENIED, "permission_error"),
    "origin_not_allowed": Status(403, grpc.StatusCode.PERMISSION_DENIED, "permission_error"),
    "queue_full": Status(
        429, grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limit_error", is_retryable=True
    ),
    "client_left": Status(499, grpc.StatusCode.CANCELLED, "invalid_request_error"),
    "engine_failed": Status(503, grpc.StatusCode.UNAVAILABLE, "server_error", is_retryable=True),
    "draining": Status(503, grpc.StatusCode.UNAVAILABLE, "server_error", is_retryable=True),
    "deadline_exceeded": Status(504, grpc.StatusCode.DEADLINE_EXCEEDED, "server_error"),
}


def status(error: Exception) -> Status:
    """The status of an error; whatever is not declared is the server's own fault."""
    return _STATUSES.get(code(error), _INTERNAL)


def code(error: Exception) -> str:
    """The stable code of an error."""
    return error.code if isinstance(error, InferFluxError) else InferFluxError.code


def message(error: Exception, request_id: str) -> str:
    """What the client is told: never the text of an error nobody foresaw."""
    if isinstance(error, InferFluxError) and status(error) is not _INTERNAL:
        return str(error)
    return f"{UNKNOWN_ERROR} (request {request_id})"


def body(error: Exception, request_id: str) -> dict[str, dict[str, str | None]]:
    """The error as OpenAI's clients read it."""
    return {
        "error": {
            "message": message(error, request_id),
            "type": status(error).kind,
            "param": getattr(error, "field", None),
            "code": code(error),
        }
    }


def headers(error: Exception) -> dict[str, str]:
    """Headers that go with the error's status."""
    if status(error).is_retryable:
        return {"retry-after": str(RETRY_AFTER_SECONDS)}
    return {}


def trailing_metadata(error: Exception) -> tuple[tuple[str, str], ...]:
    """gRPC's place for what a status code is too coarse to say."""
    return ((ERROR_METADATA_KEY, code(error)),)

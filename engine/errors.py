"""Every error the engine raises on purpose, and the way back from a code to its class."""

from __future__ import annotations

from inferflux.errors import InferFluxError, InvalidArgument


class RequestRejected(InvalidArgument):
    """A request asks for something this engine can never do."""


class ContextLengthExceeded(InferFluxError):
    """A prompt leaves no room in the model's context for the tokens asked of it."""

    code = "context_length_exceeded"


class QueueFull(InferFluxError):
    """As many requests are open as the engine will hold.  Try again later."""

    code = "queue_full"


class EngineFailed(InferFluxError):
    """The engine died, is not up or will not take more.  The same request may succeed later."""

    code = "engine_failed"


class FrameError(InferFluxError):
    """Bytes between server and engine are no frame of this protocol."""

    code = "engine_protocol"


_REFUSALS = {kind.code: kind for kind in (RequestRejected, ContextLengthExceeded, QueueFull)}


def error_of(code: str | None, message: str | None) -> InferFluxError:
    """The error a frame speaks of; what is no refusal of the request is the engine's failure."""
    kind = _REFUSALS.get(code or "", EngineFailed)
    return kind(message or "the engine gave no reason")

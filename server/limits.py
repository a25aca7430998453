"""What a request may ask for: one table, used by every door and stated in its types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from inferflux.engine.messages import MAX_LOGPROBS


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server process; every list, size and wait has one."""

    body_bytes: int = 8 << 20  # also of a gRPC message
    body_seconds: float = 10.0  # from the first header to the last byte of the body
    header_bytes: int = 64 << 10  # request line and headers
    header_fields: int = 128
    wire_bytes: int = (8 << 20) + (2 << 20)  # of a whole HTTP request: body, headers, chunk sizes
    header_seconds: float = 10.0
    metadata_bytes: int = 16 << 10  # gRPC's headers
    concurrent_streams: int = 256  # of one gRPC connection
    connections: int = 1024  # HTTP
    json_depth: int = 64
    sequences: int = 4  # n
    prompts: int = 4  # in one request
    stops: int = 4
    stop_bytes: int = 256
    logprobs: int = MAX_LOGPROBS
    messages: int = 1024
    content_parts: int = 64  # of one message
    message_fields: int = 32
    tools: int = 128
    documents: int = 64
    template_variables: int = 64
    requests_in_flight: int = 256  # generations, all doors together
    tokenizer_threads: int = 2
    off_loop_bytes: int = 8 << 10  # text longer than this is not handled on the event loop
    request_seconds: float = 600.0
    unread_seconds: float = 60.0  # how long a client may leave an event in its stream unread


LIMITS: Final = Limits()

# The same bounds as types: msgspec checks them where a request is decoded.
Name = Annotated[str, Meta(min_length=1, max_length=256)]
MaxTokens = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Temperature = Annotated[float, Meta(ge=0.0, le=2.0)]
TopK = Annotated[int, Meta(ge=1, le=2**31 - 1)]
TopP = Annotated[float, Meta(gt=0.0, le=1.0)]
MinP = Annotated[float, Meta(ge=0.0, le=1.0)]
NumSequences = Annotated[int, Meta(ge=1, le=LIMITS.sequences)]
NumLogprobs = Annotated[int, Meta(ge=0, le=LIMITS.logprobs)]
StopString = Annotated[str, Meta(min_length=1, max_length=LIMITS.stop_bytes)]
StopStrings = Annotated[list[StopString], Meta(max_length=LIMITS.stops)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]

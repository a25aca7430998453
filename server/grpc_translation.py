"""Messages of `inferflux.v1` to what the service takes, and back."""

from __future__ import annotations

import math
from collections.abc import Sized
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.unknown_fields import UnknownFieldSet

from inferflux.engine.determinism import Determinism
from inferflux.server.calls import (
    Call,
    Chunk,
    Conversation,
    InvalidField,
    Message,
    Prompt,
    Sampling,
    Text,
    Token,
    Tokens,
    Usage,
    check_stops,
)
from inferflux.server.generation import Generation
from inferflux.server.json_body import check_depth
from inferflux.server.limits import LIMITS
from inferflux.server.proto import inferflux_pb2 as pb
from inferflux.text.chat import ChatExtras

_T = TypeVar("_T", bound=Sized)

_FINISH_REASONS: Final = {
    None: pb.FINISH_REASON_UNSPECIFIED,
    "stop": pb.FINISH_REASON_STOP,
    "length": pb.FINISH_REASON_LENGTH,
}
_DETERMINISM: Final = {
    Determinism.DEFAULT: pb.DETERMINISM_DEFAULT,
    Determinism.BATCH_INVARIANT: pb.DETERMINISM_BATCH_INVARIANT,
}


def generate_call(request: pb.GenerateRequest, timeout_seconds: float) -> Call:
    return Call(
        model=request.model,
        prompts=(_prompt(request),),
        sampling=_sampling(request.sampling),
        echo=request.echo,
        determinism=_determinism(request.determinism),
        timeout_seconds=timeout_seconds,
    )


def chat_call(request: pb.ChatRequest, timeout_seconds: float) -> Call:
    if not 1 <= len(request.messages) <= LIMITS.messages:
        raise InvalidField(
            "messages", f"messages: {len(request.messages)} given; send 1 to {LIMITS.messages}"
        )
    turns = tuple(map(_message, request.messages))
    return Call(
        model=request.model,
        prompts=(Conversation(turns, _extras(request)),),
        sampling=_sampling(request.sampling),
        determinism=_determinism(request.determinism),
        id_prefix="chatcmpl-",
        timeout_seconds=timeout_seconds,
    )


def refuse_unknown_fields(message: ProtoMessage) -> None:
    """A field this server does not know would be dropped in silence: refuse it by its number."""
    for unknown in UnknownFieldSet(message):
        name = message.DESCRIPTOR.name
        raise InvalidField(
            name, f"{name}: field {unknown.field_number} is not known to this server"
        )
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                refuse_unknown_fields(part)


def response(generation: Generation, chunk: Chunk, *, has_logprobs: bool) -> pb.GenerateResponse:
    return pb.GenerateResponse(
        id=generation.id,
        index=chunk.index,
        token_ids=[token.id for token in chunk.tokens],
        text=chunk.text,
        logprobs=[_logprob(token) for token in chunk.tokens] if has_logprobs else (),
        finish_reason=_FINISH_REASONS[chunk.finish_reason],
        determinism=_DETERMINISM[generation.determinism],
    )


def usage(tokens: Usage) -> pb.Usage:
    return pb.Usage(prompt_tokens=tokens.prompt_tokens, completion_tokens=tokens.completion_tokens)


def _prompt(request: pb.GenerateRequest) -> Prompt:
    match request.WhichOneof("prompt"):
        case "text":
            return Text(request.text)
        case "tokens":
            return Tokens(list(request.tokens.ids))
        case _:
            raise InvalidField("prompt", "prompt: set text or tokens")


def _message(message: pb.Message) -> Message:
    fields = _object(message.fields, "messages.fields", LIMITS.message_fields)
    return Message(message.role, message.content, fields)


def _extras(request: pb.ChatRequest) -> ChatExtras:
    return ChatExtras(
        tools=_objects(request.tools, "tools", LIMITS.tools),
        documents=_objects(request.documents, "documents", LIMITS.documents),
        variables=_object(
            request.template_variables, "template_variables", LIMITS.template_variables
        ),
    )


def _object(text: str, field: str, most: int) -> dict[str, Any]:
    return _json(text, dict[str, Any], field, most) if text else {}


def _objects(text: str, field: str, most: int) -> list[dict[str, Any]] | None:
    return _json(text, list[dict[str, Any]], field, most) if text else None


def _json(text: str, kind: type[_T], field: str, most: int) -> _T:
    """A field that is JSON: of a kind, of at most so many members or items, and not too deep."""
    check_depth(text.encode())
    try:
        value = msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise InvalidField(field, f"{field}: {error}") from error
    if len(value) > most:
        raise InvalidField(field, f"{field}: {len(value)} given; send at most {most}")
    return value


def _determinism(number: int) -> Determinism:
    """An enum of proto3 is open: a number without a name arrives as it is."""
    for determinism, known in _DETERMINISM.items():
        if number == known:
            return determinism
    names = " or ".join(pb.Determinism.keys())
    raise InvalidField("determinism", f"determinism: {number} is not known; accepted is {names}")


def _sampling(sampling: pb.Sampling) -> Sampling:
    """The fields that are set, checked against the same types as JSON's."""
    fields = {field.name: value for field, value in sampling.ListFields()}
    for name, value in fields.items():
        _check_float(name, value)
    fields["stop"] = list(sampling.stop)
    try:
        checked = msgspec.convert(fields, Sampling)
    except msgspec.ValidationError as error:
        raise InvalidField("sampling", f"sampling: {error}") from error
    check_stops(checked.stop)
    return checked


def _check_float(name: str, value: object) -> None:
    if name in ("presence_penalty", "frequency_penalty"):  # listed only where they are not 0
        raise InvalidField(name, f"{name}: not supported; accepted is 0")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidField(name, f"{name}: {value} is not a finite number")


def _logprob(token: Token) -> pb.TokenLogprob:
    top = [
        pb.TopLogprob(token_id=other.id, text=other.text, logprob=other.logprob)
        for other in token.top
    ]
    return pb.TokenLogprob(text=token.text, logprob=token.logprob, top=top)

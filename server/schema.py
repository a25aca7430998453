"""OpenAI's requests as types: what is honoured is a field, what is only tolerated is in a table."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from inferflux.engine.determinism import Determinism
from inferflux.server.calls import (
    Call,
    Conversation,
    InvalidField,
    Message,
    Prompt,
    Sampling,
    Text,
    Tokens,
    check_stops,
)
from inferflux.server.json_body import decode_object
from inferflux.server.limits import (
    LIMITS,
    MaxTokens,
    MinP,
    Name,
    NumLogprobs,
    NumSequences,
    StopString,
    StopStrings,
    Temperature,
    TokenId,
    TopK,
    TopP,
)
from inferflux.text.chat import ChatExtras

DEFAULT_COMPLETION_TOKENS: Final = 16  # OpenAI's

NoOps = dict[str, tuple[object, ...]]

# Fields that change nothing at these values, or at null; any other value is refused.
_SHARED_NO_OPS: Final[NoOps] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "metadata": ({},),
}
CHAT_NO_OPS: Final[NoOps] = _SHARED_NO_OPS | {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
}
COMPLETION_NO_OPS: Final[NoOps] = _SHARED_NO_OPS | {"best_of": (1,), "suffix": ("",)}
MESSAGE_NO_OPS: Final[NoOps] = {
    "name": (),
    "refusal": (),
    "annotations": ([],),
    "audio": (),
    "tool_calls": ([],),
    "function_call": (),
}


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both routes honour.  ``user`` names the client's own user: it changes no output."""

    no_ops: ClassVar[NoOps]

    model: Name
    temperature: Temperature = 1.0
    top_p: TopP = 1.0
    top_k: TopK | None = None
    min_p: MinP = 0.0
    seed: int | None = None
    n: NumSequences = 1
    stop: StopString | StopStrings = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    determinism: Determinism = Determinism.DEFAULT
    user: str | None = None

    def sampling(self, max_tokens: int | None, logprobs: int | None) -> Sampling:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop
        check_stops(stop)
        return Sampling(
            max_tokens=max_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            seed=self.seed,
            stop=stop,
            n=self.n,
            logprobs=logprobs,
        )


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class ChatMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant"]
    content: str | Annotated[list[TextPart], Meta(max_length=LIMITS.content_parts)]

    def to_message(self) -> Message:
        if isinstance(self.content, str):
            return Message(self.role, self.content)
        return Message(self.role, "".join(part.text for part in self.content))


class ChatRequest(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of /v1/chat/completions."""

    no_ops: ClassVar[NoOps] = CHAT_NO_OPS

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=LIMITS.messages)]
    documents: Annotated[list[dict[str, Any]], Meta(max_length=LIMITS.documents)] | None = None
    chat_template_kwargs: Annotated[dict[str, Any], Meta(max_length=LIMITS.template_variables)] = {}
    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    logprobs: bool = False
    top_logprobs: NumLogprobs | UnsetType = UNSET

    def to_call(self) -> Call:
        extras = ChatExtras(documents=self.documents, variables=self.chat_template_kwargs)
        messages = tuple(message.to_message() for message in self.messages)
        conversation = Conversation(messages, extras)
        sampling = self.sampling(self._max_tokens(), self._num_logprobs())
        return Call(
            self.model,
            (conversation,),
            sampling,
            determinism=self.determinism,
            id_prefix="chatcmpl-",
        )

    def _max_tokens(self) -> int | None:
        both = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(both) > 1:
            raise InvalidField(
                "max_tokens", "max_tokens and max_completion_tokens differ; send one of them"
            )
        return both.pop() if both else None

    def _num_logprobs(self) -> int | None:
        if self.top_logprobs is UNSET:
            return 0 if self.logprobs else None
        if not self.logprobs and self.top_logprobs:
            raise InvalidField("top_logprobs", "top_logprobs needs logprobs to be true")
        return self.top_logprobs if self.logprobs else None


class CompletionRequest(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of /v1/completions."""

    no_ops: ClassVar[NoOps] = COMPLETION_NO_OPS

    prompt: str | list[str | TokenId | list[TokenId]]
    max_tokens: MaxTokens = DEFAULT_COMPLETION_TOKENS
    logprobs: NumLogprobs | None = None
    echo: bool = False

    def to_call(self) -> Call:
        sampling = self.sampling(self.max_tokens, self.logprobs)
        return Call(
            self.model,
            self._prompts(),
            sampling,
            echo=self.echo,
            determinism=self.determinism,
        )

    def _prompts(self) -> tuple[Prompt, ...]:
        match self.prompt:
            case str(text):
                return (Text(text),)
            case [int(), *_] as ids:
                return (_as_tokens(ids),)
            case prompts if 1 <= len(prompts) <= LIMITS.prompts:
                return tuple(_as_prompt(prompt) for prompt in prompts)
            case prompts:
                raise InvalidField(
                    "prompt", f"prompt: {len(prompts)} prompts; send 1 to {LIMITS.prompts}"
                )


def _as_prompt(prompt: str | int | list[int]) -> Prompt:
    match prompt:
        case str():
            return Text(prompt)
        case list():
            return Tokens(prompt)
        case _:
            raise _mixed_prompt()


def _as_tokens(ids: list[Any]) -> Tokens:
    if not all(isinstance(token, int) for token in ids):
        raise _mixed_prompt()
    return Tokens(ids)


def _mixed_prompt() -> InvalidField:
    return InvalidField(
        "prompt", "prompt: send a string, strings, token ids or lists of token ids, not a mixture"
    )


_R = TypeVar("_R", bound=_Request)


def decode(body: bytes, request_type: type[_R]) -> _R:
    """The request in ``body``; every field that is not honoured is refused by its name."""
    fields = _honoured(decode_object(body), request_type, request_type.no_ops)
    if request_type is ChatRequest:
        fields["messages"] = _honoured_messages(fields.get("messages"))
    try:
        return msgspec.convert(fields, request_type)
    except msgspec.ValidationError as error:
        raise InvalidField(_field_of(error), str(error)) from error


def _honoured(
    fields: dict[str, Any], struct: type[msgspec.Struct], no_ops: NoOps, where: str = ""
) -> dict[str, Any]:
    """The fields that mean something; null means that a field was not given."""
    known = set(struct.__struct_fields__)
    for name, value in fields.items():
        if name not in known and name not in no_ops:
            raise InvalidField(where + name, f"{where}{name}: no such field is supported")
        if name in no_ops and value is not None and value not in no_ops[name]:
            allowed = " or ".join(repr(v) for v in (*no_ops[name], None))
            raise InvalidField(where + name, f"{where}{name}: not supported; accepted is {allowed}")
    return {name: value for name, value in fields.items() if name in known and value is not None}


def _honoured_messages(messages: object) -> object:
    """Each message without the fields that clients echo back empty."""
    if not isinstance(messages, list):
        return messages  # its type is refused where types are
    return [
        _honoured(message, ChatMessage, MESSAGE_NO_OPS, where=f"messages[{index}].")
        if isinstance(message, dict)
        else message
        for index, message in enumerate(messages[: LIMITS.messages + 1])
    ]


_AT_PATH: Final = re.compile(r"at `\$\.?(.+)`$")
_MISSING: Final = re.compile(r"field `(\w+)`")


def _field_of(error: msgspec.ValidationError) -> str | None:
    """The field msgspec complains of: the path it names, or the one that is missing."""
    path = _AT_PATH.search(str(error))
    missing = _MISSING.search(str(error))
    return ".".join(found[1] for found in (path, missing) if found) or None

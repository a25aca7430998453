"""What the doors hand to the service, and what it hands back; no door's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from inferflux.engine.determinism import Determinism
from inferflux.errors import InvalidArgument
from inferflux.server.limits import (
    LIMITS,
    MaxTokens,
    MinP,
    NumLogprobs,
    NumSequences,
    StopStrings,
    Temperature,
    TopK,
    TopP,
)
from inferflux.text.chat import NO_EXTRAS, ChatExtras


class InvalidField(InvalidArgument):
    """A field of a request has a value that cannot be honoured; ``field`` names it."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a sequence is sampled and when it ends."""

    max_tokens: MaxTokens | None = None  # None: what the context has room for
    temperature: Temperature = 1.0
    top_k: TopK | None = None
    top_p: TopP = 1.0
    min_p: MinP = 0.0
    seed: int | None = None  # None: the service draws one
    stop: StopStrings = []
    n: NumSequences = 1
    logprobs: NumLogprobs | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt as token ids."""

    ids: list[int]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str
    fields: Mapping[str, Any] = field(default_factory=dict)  # what else a template reads


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt as messages, to be written out by the model's chat template."""

    messages: tuple[Message, ...]
    extras: ChatExtras = NO_EXTRAS


Prompt = Text | Tokens | Conversation


@dataclass(frozen=True, slots=True)
class Call:
    """One generation, whichever door it came through."""

    model: str
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    echo: bool = False  # the prompt's tokens come before the output's
    determinism: Determinism = Determinism.DEFAULT
    id_prefix: Literal["cmpl-", "chatcmpl-"] = "cmpl-"
    timeout_seconds: float = LIMITS.request_seconds


@dataclass(frozen=True, slots=True)
class TopToken:
    """An alternative to a token, with its log-probability."""

    id: int
    spelling: bytes
    logprob: float

    @property
    def text(self) -> str:
        return spelled(self.spelling)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the answer.  ``text_offset`` counts characters from the start of its sequence."""

    id: int
    spelling: bytes
    text_offset: int
    logprob: float | None = None
    top: tuple[TopToken, ...] = ()

    @property
    def text(self) -> str:
        return spelled(self.spelling)


def spelled(spelling: bytes) -> str:
    """A token on its own as text; one that is no whole character as OpenAI spells its bytes."""
    try:
        return spelling.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelling)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became known at once of sequence ``index``; its last chunk has a finish reason."""

    index: int
    text: str
    tokens: tuple[Token, ...]
    finish_reason: Literal["stop", "length"] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens a call read and wrote, over all its sequences."""

    prompt_tokens: int
    completion_tokens: int


def check_stops(stops: list[str]) -> None:
    """A stop string is bounded in bytes, which its type (characters) cannot say."""
    for stop in stops:
        if len(stop.encode()) > LIMITS.stop_bytes:
            raise InvalidField(
                "stop", f"stop: a stop string has at most {LIMITS.stop_bytes} bytes in UTF-8"
            )

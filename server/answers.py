"""OpenAI's answers, whole or in events, made of the service's chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from inferflux.server.calls import Chunk, Token, Usage
from inferflux.server.generation import Generation

Json = dict[str, Any]


class AnswerFormat(Protocol):
    """How a route writes what the service gives."""

    def opening(self, index: int) -> Json | None:
        """The choice of an event before the first chunk of a sequence, if the route has one."""

    def event_choice(self, chunk: Chunk) -> Json:
        """The choice of one event."""

    def choice(self, chunks: Sequence[Chunk]) -> Json:
        """The choice of a whole answer."""

    @property
    def object_name(self) -> str: ...

    @property
    def event_object_name(self) -> str: ...


class ChatFormat:
    """/v1/chat/completions."""

    object_name = "chat.completion"
    event_object_name = "chat.completion.chunk"

    def __init__(self, *, has_logprobs: bool) -> None:
        self._has_logprobs = has_logprobs

    def opening(self, index: int) -> Json | None:
        delta = {"role": "assistant", "content": ""}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def event_choice(self, chunk: Chunk) -> Json:
        return {
            "index": chunk.index,
            "delta": {"content": chunk.text} if chunk.text else {},
            "logprobs": self._logprobs(chunk.tokens),
            "finish_reason": chunk.finish_reason,
        }

    def choice(self, chunks: Sequence[Chunk]) -> Json:
        return {
            "index": chunks[0].index,
            "message": {"role": "assistant", "content": _text(chunks), "refusal": None},
            "logprobs": self._logprobs(_tokens(chunks)),
            "finish_reason": chunks[-1].finish_reason,
        }

    def _logprobs(self, tokens: Sequence[Token]) -> Json | None:
        if not self._has_logprobs:
            return None
        return {"content": [_chat_token(token) for token in tokens], "refusal": None}


class CompletionFormat:
    """/v1/completions."""

    object_name = "text_completion"
    event_object_name = "text_completion"

    def __init__(self, *, num_logprobs: int | None) -> None:
        self._num_logprobs = num_logprobs

    def opening(self, index: int) -> Json | None:
        return None

    def event_choice(self, chunk: Chunk) -> Json:
        return self.choice((chunk,))

    def choice(self, chunks: Sequence[Chunk]) -> Json:
        return {
            "index": chunks[0].index,
            "text": _text(chunks),
            "logprobs": self._logprobs(_tokens(chunks)),
            "finish_reason": chunks[-1].finish_reason,
        }

    def _logprobs(self, tokens: Sequence[Token]) -> Json | None:
        if self._num_logprobs is None:
            return None
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [_top_by_text(token) for token in tokens],
            "text_offset": [token.text_offset for token in tokens],
        }


def event(generation: Generation, model: str, name: str, choices: Iterable[Json]) -> Json:
    """One event of a stream, or with ``usage`` added the body of a whole answer."""
    return {
        "id": generation.id,
        "object": name,
        "created": generation.created,
        "model": model,
        "determinism": generation.determinism,
        "choices": list(choices),
    }


def usage(tokens: Usage) -> Json:
    return {
        "prompt_tokens": tokens.prompt_tokens,
        "completion_tokens": tokens.completion_tokens,
        "total_tokens": tokens.prompt_tokens + tokens.completion_tokens,
    }


def _text(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def _tokens(chunks: Sequence[Chunk]) -> list[Token]:
    return [token for chunk in chunks for token in chunk.tokens]


def _chat_token(token: Token) -> Json:
    top = [
        {"token": other.text, "logprob": other.logprob, "bytes": list(other.spelling)}
        for other in token.top
    ]
    return {
        "token": token.text,
        "logprob": token.logprob,
        "bytes": list(token.spelling),
        "top_logprobs": top,
    }


def _top_by_text(token: Token) -> dict[str, float] | None:
    """The alternatives, best first; none for a prompt's first token, which nothing predicted."""
    return None if token.logprob is None else {top.text: top.logprob for top in token.top}

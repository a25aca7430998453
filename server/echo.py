"""A prompt that is shown before what continues it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inferflux.engine.messages import TokenLogprobs
from inferflux.text import Detokeniser, Tokenizer

EchoedToken = tuple[int, str, TokenLogprobs | None]


@dataclass(frozen=True, slots=True)
class EchoedPrompt:
    """A prompt's tokens and the characters that each completes."""

    ids: Sequence[int]
    pieces: Sequence[str]
    has_logprobs: bool

    @classmethod
    def of(cls, ids: Sequence[int], tokenizer: Tokenizer, *, has_logprobs: bool) -> EchoedPrompt:
        detokeniser = Detokeniser(tokenizer, is_start=True)
        pieces = [detokeniser.push([token]) for token in ids]
        pieces[-1] += detokeniser.finish()
        return cls(ids, pieces, has_logprobs)


class Echo:
    """Shows a prompt once: at once, or as the logprobs of its tokens come."""

    def __init__(self, prompt: EchoedPrompt) -> None:
        self._prompt = prompt
        self._num_taken = 0

    def take(self, logprobs: Sequence[TokenLogprobs]) -> Iterator[EchoedToken]:
        """The tokens to show now.  The first has no logprob: nothing came before it."""
        if not self._prompt.has_logprobs:
            yield from (self._next(None) for _ in self._prompt.ids[self._num_taken :])
            return
        if self._num_taken == 0:
            yield self._next(None)
        for logprob in logprobs:
            yield self._next(logprob)

    def _next(self, logprob: TokenLogprobs | None) -> EchoedToken:
        index = self._num_taken
        self._num_taken += 1
        return self._prompt.ids[index], self._prompt.pieces[index], logprob

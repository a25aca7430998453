"""One sequence's tokens as text: whole characters, no stop string, and the tokens that spell it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Literal

from inferflux.engine.messages import FinishReason, TokenLogprobs, TokenOutput
from inferflux.server.calls import Chunk, Token, TopToken
from inferflux.server.echo import Echo
from inferflux.text import Detokeniser, StopStrings, Tokenizer


class SequenceText:
    """Reads what the engine settles for one sequence and gives what may be shown of it.

    Text waits while it may be half a character or the start of a stop string. A token waits for
    its text to begin, so that the tokens shown are those that spell the text shown.
    """

    def __init__(
        self,
        index: int,
        tokenizer: Tokenizer,
        stops: Sequence[str],
        stop_token_ids: Sequence[int],
        echo: Echo | None = None,
    ) -> None:
        self.index = index
        self.num_tokens = 0  # of output
        self.finish_reason: Literal["stop", "length"] | None = None
        self._tokenizer = tokenizer
        self._detokeniser = Detokeniser(tokenizer)
        self._stops = StopStrings(stops)
        self._stop_token_ids = frozenset(stop_token_ids)
        self._echo = echo
        self._has_stopped = False  # at a stop string
        self._ready = ""  # text for the next chunk
        self._num_known = 0  # characters known, shown or not
        self._num_shown = 0
        self._pending: deque[Token] = deque()

    def read(self, output: TokenOutput) -> Chunk | None:
        """What may be shown after ``output``, if anything."""
        self._read_prompt(output.prompt_logprobs or [])
        self._read_tokens(output)
        if self._has_stopped:
            self.finish_reason = "stop"
        elif output.finish_reason is not None:
            self._end(output.finish_reason)
        return self._take_chunk()

    def _read_prompt(self, logprobs: Sequence[TokenLogprobs]) -> None:
        if self._echo is None:
            return
        for token, piece, logprob in self._echo.take(logprobs):
            self._pending.append(self._token(token, logprob))
            self._num_known += len(piece)
            self._ready += piece

    def _read_tokens(self, output: TokenOutput) -> None:
        """Take in the output's tokens, up to the one that completes a stop string."""
        for token, logprob in zip(output.tokens, output.logprobs or repeat(None), strict=False):
            if self._has_stopped:
                return
            self.num_tokens += 1
            if token in self._stop_token_ids:
                continue  # it ends the sequence and is no part of its text
            self._pending.append(self._token(token, logprob))
            self._add_text(self._detokeniser.push([token]))

    def _add_text(self, text: str) -> None:
        self._num_known += len(text)
        shown, self._has_stopped = self._stops.push(text)
        self._ready += shown

    def _end(self, reason: FinishReason) -> None:
        """The engine ended the sequence: what was held back may be shown."""
        self._add_text(self._detokeniser.finish())
        if self._has_stopped or reason is FinishReason.STOP:
            self.finish_reason = "stop"
        else:
            self.finish_reason = "length"
        if not self._has_stopped:
            self._ready += self._stops.finish()

    def _take_chunk(self) -> Chunk | None:
        text, self._ready = self._ready, ""
        self._num_shown += len(text)
        tokens = tuple(self._take_tokens())
        if not text and not tokens and self.finish_reason is None:
            return None
        return Chunk(self.index, text, tokens, self.finish_reason)

    def _take_tokens(self) -> Iterator[Token]:
        """The tokens whose text has begun; at the end also those that spell nothing."""
        shows_all = self.finish_reason is not None and not self._has_stopped
        while self._pending and (shows_all or self._pending[0].text_offset < self._num_shown):
            yield self._pending.popleft()

    def _token(self, token: int, logprobs: TokenLogprobs | None) -> Token:
        spelling = self._tokenizer.token_bytes(token)
        if logprobs is None:
            return Token(token, spelling, self._num_known)
        top = zip(logprobs.top_tokens, logprobs.top_logprobs, strict=True)
        return Token(
            token,
            spelling,
            self._num_known,
            logprobs.logprob,
            tuple(TopToken(other, self._tokenizer.token_bytes(other), lp) for other, lp in top),
        )

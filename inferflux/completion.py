"""What comes back from a generation: the whole of it, or its text piece by piece."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from inferflux.engine.determinism import Determinism
from inferflux.engine.messages import FinishReason, TokenLogprobs, TokenOutput
from inferflux.errors import InferFluxError
from inferflux.text import Detokeniser, StopStrings


class GenerationFailed(InferFluxError):
    """The engine ended a request before it was done."""

    code = "generation_failed"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds since the request began; see docs/metrics.md."""

    num_prompt_tokens: int
    num_output_tokens: int
    first_token: float
    last_token: float

    @property
    def prefill_speed(self) -> float:
        """Prompt tokens per second until the first token."""
        return self.num_prompt_tokens / self.first_token

    @property
    def decode_speed(self) -> float | None:
        """Tokens per second after the first; None where there were none."""
        if self.num_output_tokens < 2 or self.last_token == self.first_token:
            return None
        return (self.num_output_tokens - 1) / (self.last_token - self.first_token)


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished generation."""

    text: str
    tokens: list[int]
    finish_reason: FinishReason
    logprobs: list[TokenLogprobs] | None  # one per token, if asked for
    determinism: Determinism  # that ran
    timing: Timing


class CompletionStream(Iterator[str]):
    """Pieces of text as they are generated; ``completion`` has the whole once it is exhausted.

    Closing it early aborts the request and frees its pages.
    """

    def __init__(
        self,
        outputs: Generator[TokenOutput],
        num_prompt_tokens: int,
        detokeniser: Detokeniser,
        stops: StopStrings,
        determinism: Determinism,
    ) -> None:
        self.completion: Completion | None = None
        self._outputs = outputs
        self._num_prompt_tokens = num_prompt_tokens
        self._detokeniser = detokeniser
        self._stops = stops
        self._determinism = determinism
        self._tokens: list[int] = []
        self._logprobs: list[TokenLogprobs] = []
        self._text = ""
        self._started = time.perf_counter()
        self._first = self._last = 0.0
        self._pieces = self._run()

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        self._pieces.close()

    def collect(self) -> Completion:
        """Generate to the end."""
        for _ in self:
            pass
        assert self.completion is not None
        return self.completion

    def _run(self) -> Generator[str]:
        try:
            for output in self._outputs:
                self._record(output)
                text, reason = self._advance(output)
                self._text += text
                if text:
                    yield text
                if reason is not None:
                    self.completion = self._complete(reason)
                    return
        finally:
            self._outputs.close()

    def _record(self, output: TokenOutput) -> None:
        if output.finish_reason is FinishReason.ERROR:
            raise GenerationFailed(f"the engine failed: {output.error or 'it gave no reason'}")
        self._tokens += output.tokens
        self._logprobs += output.logprobs or []
        if output.tokens:
            self._last = time.perf_counter() - self._started
            self._first = self._first or self._last

    def _advance(self, output: TokenOutput) -> tuple[str, FinishReason | None]:
        """The text that may be shown now, and why the generation ends if it does."""
        text, stopped = self._stops.push(self._detokeniser.push(output.tokens))
        if stopped:
            return text, FinishReason.STOP
        if output.finish_reason is None:
            return text, None
        rest, stopped = self._stops.push(self._detokeniser.finish())
        held = "" if stopped else self._stops.finish()
        return text + rest + held, FinishReason.STOP if stopped else output.finish_reason

    def _complete(self, reason: FinishReason) -> Completion:
        timing = Timing(self._num_prompt_tokens, len(self._tokens), self._first, self._last)
        return Completion(
            self._text,
            self._tokens,
            reason,
            self._logprobs or None,
            self._determinism,
            timing,
        )

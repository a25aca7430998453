"""From rows of a step's outputs to the messages that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferflux.engine.messages import FinishReason, Request, TokenLogprobs, TokenOutput
from inferflux.errors import InferFluxError

if TYPE_CHECKING:
    from inferflux.engine.step import StepOutputs


class StepRows:
    """A step's rows of logits, handed out to its sequences in the order of the plan."""

    def __init__(self, outputs: StepOutputs) -> None:
        self.tokens: list[int] = outputs.tokens.tolist()  # (R,), one call for all sequences
        self._outputs = outputs
        self._num_taken = 0

    def take(self, count: int) -> range:
        rows = range(self._num_taken, self._num_taken + count)
        self._num_taken += count
        return rows

    def logprobs(self, rows: range, num_alternatives: int | None) -> list[TokenLogprobs] | None:
        """Of each row's token and its best alternatives; None if none were asked for."""
        if num_alternatives is None:
            return None
        span = slice(rows.start, rows.stop)
        return [
            TokenLogprobs(*row)
            for row in zip(
                self.tokens[span],
                self._outputs.logprobs[span].tolist(),
                self._outputs.top_tokens[span, :num_alternatives].tolist(),
                self._outputs.top_logprobs[span, :num_alternatives].tolist(),
                strict=True,
            )
        ]


def refusal(request: Request, error: InferFluxError) -> TokenOutput:
    """The one output of a request that failed, or was never accepted."""
    return TokenOutput(
        request.request_id,
        tokens=[],
        finish_reason=FinishReason.ERROR,
        error=str(error),
        error_code=error.code,
    )

"""A sequence: the live state of one request inside the engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from inferflux.engine.messages import Request
from inferflux.engine.pages import Holdings


@dataclass(slots=True, eq=False)
class Sequence:
    """One token stream.  Owned by the scheduler; nothing else writes to it.

    Its token ids stand in the lane table, in the lane it holds while it runs.
    """

    request: Request
    max_length: int  # tokens, prompt and output, at which it is full
    most_pages: tuple[int, ...]  # that it ever holds of each group
    lane: int = 0  # meaningful while it runs
    held: Holdings = ()  # for what is computed, and for what the step at hand writes
    num_tokens: int = field(init=False)  # of prompt and output, so far
    num_computed_tokens: int = 0  # of those, how many have their K and V in the cache
    stop_token_ids: frozenset[int] = field(init=False)
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.num_tokens = len(self.request.prompt)
        self.stop_token_ids = frozenset(self.request.stop_token_ids)
        deadline = self.request.deadline
        self.deadline = math.inf if deadline is None else deadline

    @property
    def num_held(self) -> tuple[int, ...]:
        """Pages it holds of each group."""
        return tuple(len(holding.pages) for holding in self.held)

    @property
    def end_page(self) -> int:
        """Pages it has ever taken of each group, which is how far its page tables go."""
        return self.held[0].end

    @property
    def num_uncomputed_tokens(self) -> int:
        return self.num_tokens - self.num_computed_tokens

    @property
    def wants_tokens(self) -> bool:
        return self.request.max_tokens > 0

    @property
    def wants_prompt_logprobs(self) -> bool:
        """Whether every token of the prompt needs a row of logits."""
        return self.request.prompt_logprobs is not None

    @property
    def is_decoding(self) -> bool:
        """Whether all that is uncomputed is the token sampled last."""
        return self.num_computed_tokens >= len(self.request.prompt)

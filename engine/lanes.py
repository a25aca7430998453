"""Lanes: per-sequence state as arrays, so that a step's inputs are gathers and not loops."""

from __future__ import annotations

import numpy as np

from inferflux.engine.pages import Pages
from inferflux.engine.retention import pages_for
from inferflux.engine.sequence import Sequence
from inferflux.engine.step import Array

LEAST_TEMPERATURE = 1e-5  # below it sampling is greedy, and logits over it would overflow


class LaneTable:
    """One row per running sequence, written when it is admitted and gains a page or a token."""

    def __init__(
        self, num_lanes: int, context_length: int, num_groups: int, vocab_size: int
    ) -> None:
        self.vocab_size = vocab_size
        # One column more than the context: the successor of a last token may be looked up.
        self.tokens = np.zeros((num_lanes, context_length + 1), np.int32)
        self.page_tables = tuple(
            np.zeros((num_lanes, pages_for(context_length)), np.int32) for _ in range(num_groups)
        )
        self.num_prompt_tokens = np.zeros(num_lanes, np.int32)
        self.temperature = np.zeros(num_lanes, np.float32)
        self.top_k = np.zeros(num_lanes, np.int32)
        self.top_p = np.zeros(num_lanes, np.float32)
        self.min_p = np.zeros(num_lanes, np.float32)
        self.seed = np.zeros(num_lanes, np.uint64)
        self.num_logprobs = np.zeros(num_lanes, np.int32)
        self.num_prompt_logprobs = np.zeros(num_lanes, np.int32)
        self._free = list(range(num_lanes - 1, -1, -1))

    @property
    def num_free(self) -> int:
        return len(self._free)

    def take(self, sequence: Sequence) -> None:
        """Seat a sequence: give it a lane, and write what is asked of it into the table."""
        lane = sequence.lane = self._free.pop()
        prompt = sequence.request.prompt
        self.tokens[lane, : len(prompt)] = prompt
        self.num_prompt_tokens[lane] = len(prompt)
        self._write_sampling(lane, sequence)

    def leave(self, sequence: Sequence) -> None:
        self._free.append(sequence.lane)

    def extend(self, sequence: Sequence, pages: Pages) -> None:
        """Give a seated sequence more pages."""
        for table, held, taken in zip(self.page_tables, sequence.held, pages, strict=True):
            table[sequence.lane, held.end : held.end + len(taken)] = taken
            held.pages += taken

    def append(self, sequence: Sequence, token: int) -> None:
        self.tokens[sequence.lane, sequence.num_tokens] = token
        sequence.num_tokens += 1

    def _write_sampling(self, lane: int, sequence: Sequence) -> None:
        sampling = sequence.request.sampling
        is_cold = sampling.temperature < LEAST_TEMPERATURE
        self.temperature[lane] = 0.0 if is_cold else sampling.temperature
        self.top_k[lane] = min(sampling.top_k or self.vocab_size, self.vocab_size)
        self.top_p[lane] = sampling.top_p
        self.min_p[lane] = sampling.min_p
        self.seed[lane] = sampling.seed
        self.num_logprobs[lane] = sampling.logprobs or 0
        self.num_prompt_logprobs[lane] = sequence.request.prompt_logprobs or 0


def rows_of(array: Array, lanes: Array, width: int) -> Array:
    """``array[lanes, :width]`` as one contiguous array."""
    return np.ascontiguousarray(array[lanes, :width])

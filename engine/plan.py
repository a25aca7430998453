"""Plan: what one step runs, fixed once scheduled."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.engine.determinism import Determinism, in_force
from inferflux.engine.sequence import Sequence

Drafts = tuple[tuple[int, ...], ...]  # guessed tokens per sequence of a plan, in its order


@dataclass(frozen=True, slots=True)
class Plan:
    """Sequence b computes its next ``num_tokens[b]``; the last ``num_rows[b]`` want logits."""

    sequences: tuple[Sequence, ...]  # B
    num_tokens: tuple[int, ...]
    num_rows: tuple[int, ...]

    @property
    def determinism(self) -> Determinism:
        """The strictest that one of the sequences asks for: a step is computed in one way."""
        return in_force(*(sequence.request.determinism for sequence in self.sequences))


class PlanBuilder:
    """Fills a plan, within so many tokens and so many rows of logits.

    A token and a row of every stream are set aside, in whatever order sequences are added: a
    prompt, however long, gets what the streams leave of a step.
    """

    def __init__(self, max_tokens: int, max_rows: int, num_streams: int) -> None:
        self._tokens_left = max_tokens - num_streams
        self._rows_left = max_rows - num_streams
        self._sequences: list[Sequence] = []
        self._num_tokens: list[int] = []
        self._num_rows: list[int] = []

    def room_for(self, sequence: Sequence) -> int:
        """How many of its uncomputed tokens the step has room for, which may be none."""
        if sequence.is_decoding:
            return 1
        num_tokens = min(sequence.num_uncomputed_tokens, self._tokens_left)
        if sequence.wants_prompt_logprobs:
            return min(num_tokens, self._rows_left)
        return num_tokens if _num_rows(sequence, num_tokens) <= self._rows_left else 0

    def add(self, sequence: Sequence, num_tokens: int) -> None:
        """Compute so many tokens of a sequence, as many as there is room for or fewer."""
        num_rows = _num_rows(sequence, num_tokens)
        if not sequence.is_decoding:
            self._tokens_left -= num_tokens
            self._rows_left -= num_rows
        self._sequences.append(sequence)
        self._num_tokens.append(num_tokens)
        self._num_rows.append(num_rows)

    def build(self) -> Plan | None:
        """The plan, if there is anything to run."""
        if not self._sequences:
            return None
        return Plan(tuple(self._sequences), tuple(self._num_tokens), tuple(self._num_rows))


def _num_rows(sequence: Sequence, num_tokens: int) -> int:
    """Rows of logits that the next ``num_tokens`` of a sequence want."""
    if sequence.is_decoding:
        return 1
    if sequence.wants_prompt_logprobs:
        return num_tokens
    is_last = num_tokens == sequence.num_uncomputed_tokens
    return int(is_last and sequence.wants_tokens)

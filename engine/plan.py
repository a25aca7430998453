"""Plan: what one step runs, fixed once scheduled."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.engine.sequence import Sequence

Drafts = tuple[tuple[int, ...], ...]  # guessed tokens per sequence of a plan, in its order


@dataclass(frozen=True, slots=True)
class Plan:
    """Sequence b computes its next ``num_tokens[b]``; the last ``num_rows[b]`` want logits."""

    sequences: tuple[Sequence, ...]  # B
    num_tokens: tuple[int, ...]
    num_rows: tuple[int, ...]


class PlanBuilder:
    """Fills a plan, within so many tokens and so many rows of logits."""

    def __init__(self, max_tokens: int, max_rows: int) -> None:
        self._tokens_left = max_tokens
        self._rows_left = max_rows
        self._sequences: list[Sequence] = []
        self._num_tokens: list[int] = []
        self._num_rows: list[int] = []

    def add_decode(self, sequence: Sequence) -> None:
        self._add(sequence, 1, 1)

    def add_chunk(self, sequence: Sequence) -> None:
        """As much of a prompt as there is room for, which may be nothing."""
        num_tokens = min(sequence.num_uncomputed_tokens, self._tokens_left)
        if sequence.wants_prompt_logprobs:
            num_tokens = num_rows = min(num_tokens, self._rows_left)
        else:
            is_last = num_tokens == sequence.num_uncomputed_tokens
            num_rows = int(is_last and sequence.wants_tokens)
        if num_tokens and num_rows <= self._rows_left:
            self._add(sequence, num_tokens, num_rows)

    def build(self) -> Plan:
        return Plan(tuple(self._sequences), tuple(self._num_tokens), tuple(self._num_rows))

    def _add(self, sequence: Sequence, num_tokens: int, num_rows: int) -> None:
        self._tokens_left -= num_tokens
        self._rows_left -= num_rows
        self._sequences.append(sequence)
        self._num_tokens.append(num_tokens)
        self._num_rows.append(num_rows)

"""The scheduler: which sequences run in a step, with which pages, and when they end."""

from __future__ import annotations

import time
from collections.abc import Callable

from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.engine.admission import Limits, admit
from inferflux.engine.banker import Bankers
from inferflux.engine.errors import QueueFull, RequestRejected
from inferflux.engine.lanes import LaneTable
from inferflux.engine.messages import FinishReason, Request, TokenOutput
from inferflux.engine.outputs import StepRows, refusal
from inferflux.engine.pages import PagedKVCache
from inferflux.engine.plan import Plan, PlanBuilder
from inferflux.engine.retention import pages_for
from inferflux.engine.sequence import Sequence
from inferflux.engine.step import StepOutputs
from inferflux.errors import InferFluxError


class Scheduler:
    """Continuous batching, first come, first served.

    A sequence is admitted when a lane is free and the banker grants the pages of its first chunk.
    It takes more as it grows, and keeps what its tokens see until it ends: nothing is preempted.
    Where the banker grants none it sits the step out, which the oldest never does, so nothing
    starves or deadlocks.
    """

    def __init__(
        self,
        kv: PagedKVCache,
        lanes: LaneTable,
        limits: Limits,
        *,
        max_open: int,
        chunk_tokens: int,
        max_logit_rows: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kv = kv
        self._lanes = lanes
        self._limits = limits
        self._max_open = max_open
        self._chunk_tokens = chunk_tokens
        self._max_logit_rows = max_logit_rows
        self._clock = clock
        self._running: dict[str, Sequence] = {}  # in the order of admission
        self._waiting: dict[str, Sequence] = {}  # in the order of arrival
        self._ended: dict[str, TokenOutput] = {}  # outside of a step, and nobody was told yet

    @property
    def num_running(self) -> int:
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def has_work(self) -> bool:
        return bool(self._running or self._waiting or self._ended)

    def add(self, request: Request) -> None:
        """Queue a request, or raise why it cannot be, and then nothing has changed."""
        request_id = request.request_id
        if any(request_id in ids for ids in (self._running, self._waiting, self._ended)):
            raise RequestRejected(f"request id {request_id!r} is in use: ids must be unique")
        max_length = admit(request, self._limits)
        if len(self._running) + len(self._waiting) >= self._max_open:
            raise QueueFull(f"{self._max_open} requests are open: try again later")
        most_pages = self._kv.most_pages(max_length, self._chunk_tokens)
        self._waiting[request_id] = Sequence(request, max_length, most_pages)

    def abort(self, request_id: str) -> None:
        """End a request, in whatever phase it is.  One that has ended already is no error."""
        sequence = self._running.get(request_id) or self._waiting.get(request_id)
        if sequence is not None:
            self._end(sequence)
            self._ended[request_id] = TokenOutput(request_id, [], finish_reason=FinishReason.ABORT)

    def take_ended(self) -> list[TokenOutput]:
        """Endings that no step brought about, each handed out once."""
        ended = list(self._ended.values())
        self._ended.clear()
        return ended

    def schedule(self) -> Plan | None:
        """Choose what the next step computes: a token of every stream, the rest for prompts."""
        self._expire()
        num_streams = sum(sequence.is_decoding for sequence in self._running.values())
        plan = PlanBuilder(self._chunk_tokens, self._max_logit_rows, num_streams)
        bankers = Bankers(self._kv.num_free_by_group)
        for sequence in self._running.values():
            self._advance(sequence, plan, bankers)
        self._admit_waiting(plan, bankers)
        return plan.build()

    def commit(self, plan: Plan, outputs: StepOutputs) -> list[TokenOutput]:
        """Write a step's tokens into its sequences, and end those that are complete."""
        step = StepRows(outputs)
        settled = self.take_ended()
        for sequence, num_tokens, num_rows in zip(
            plan.sequences, plan.num_tokens, plan.num_rows, strict=True
        ):
            sequence.num_computed_tokens += num_tokens
            self._kv.forget(sequence.held, sequence.num_computed_tokens)
            output = self._settle(sequence, step, step.take(num_rows))
            if output is not None:
                settled.append(output)
        return settled

    def fail(self, plan: Plan, error: InferFluxError) -> list[TokenOutput]:
        """End every sequence of a step that the runner refused to compute."""
        settled = self.take_ended()
        for sequence in plan.sequences:
            self._end(sequence)
            settled.append(refusal(sequence.request, error))
        return settled

    def _expire(self) -> None:
        now = self._clock()
        overdue = [
            request_id
            for sequences in (self._running, self._waiting)
            for request_id, sequence in sequences.items()
            if sequence.deadline <= now
        ]
        for request_id in overdue:
            self.abort(request_id)

    def _advance(self, sequence: Sequence, plan: PlanBuilder, bankers: Bankers) -> None:
        """Plan what fits the pages it has and those it may take; it pauses if nothing does."""
        end_page, num_computed = sequence.end_page, sequence.num_computed_tokens
        room = (end_page + bankers.headroom) * PAGE_SIZE - num_computed
        num_tokens = min(plan.room_for(sequence), room)
        num_taken = pages_for(num_computed + num_tokens) - end_page
        bankers.go_on(sequence.num_held, sequence.most_pages, num_taken)
        if num_taken:
            pages = self._kv.reserve(num_taken)
            assert pages is not None, f"{num_taken} pages were granted and are not free"
            self._lanes.extend(sequence, pages)
        if num_tokens:
            plan.add(sequence, num_tokens)

    def _admit_waiting(self, plan: PlanBuilder, bankers: Bankers) -> None:
        """Seat the queue's head as long as its first chunk fits; nobody overtakes it."""
        while self._waiting and self._lanes.num_free:
            sequence = next(iter(self._waiting.values()))
            num_tokens = plan.room_for(sequence)
            if not num_tokens or pages_for(num_tokens) > bankers.headroom:
                return
            del self._waiting[sequence.request.request_id]
            self._running[sequence.request.request_id] = sequence
            self._lanes.take(sequence)
            sequence.held = self._kv.nothing()
            self._advance(sequence, plan, bankers)

    def _end(self, sequence: Sequence) -> None:
        """Forget a sequence and free all it holds."""
        request_id = sequence.request.request_id
        if self._waiting.pop(request_id, None) is None:
            del self._running[request_id]
            self._kv.release(sequence.held)
            self._lanes.leave(sequence)

    def _settle(self, sequence: Sequence, step: StepRows, rows: range) -> TokenOutput | None:
        """What a step means for one sequence; ``rows`` are its rows of logits."""
        request = sequence.request
        is_computed = sequence.num_uncomputed_tokens == 0  # then its last row, if any, is free
        prompt_rows = rows[:-1] if is_computed else rows
        token = step.tokens[rows[-1]] if is_computed and request.max_tokens else None
        reason = self._extend(sequence, token) if is_computed else None
        if reason is not None:
            self._end(sequence)
        elif token is None and not prompt_rows:
            return None
        return TokenOutput(
            request.request_id,
            [] if token is None else [token],
            None if token is None else step.logprobs(rows[-1:], request.sampling.logprobs),
            step.logprobs(prompt_rows, request.prompt_logprobs) if prompt_rows else None,
            reason,
        )

    def _extend(self, sequence: Sequence, token: int | None) -> FinishReason | None:
        """Append what was sampled; None where a prompt was only to be scored."""
        if token is None:
            return FinishReason.LENGTH
        self._lanes.append(sequence, token)
        if token in sequence.stop_token_ids:
            return FinishReason.STOP
        return FinishReason.LENGTH if sequence.num_tokens >= sequence.max_length else None

"""The engine: sequences, pages and a compiled model, advanced one step at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferflux.engine import score as scoring
from inferflux.engine.admission import Limits, check_scored
from inferflux.engine.config import EngineConfig
from inferflux.engine.determinism import Determinism, in_force
from inferflux.engine.draft import Drafter, NoDraft
from inferflux.engine.errors import EngineFailed
from inferflux.engine.inputs import step_inputs
from inferflux.engine.lanes import LaneTable
from inferflux.engine.messages import (
    PROTOCOL_VERSION,
    EngineStats,
    Hello,
    Request,
    TokenOutput,
)
from inferflux.engine.pages import PagedKVCache
from inferflux.engine.scheduler import Scheduler
from inferflux.engine.step import Array, Runner
from inferflux.errors import InferFluxError, InvalidArgument


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Which model an engine runs, as its clients are told."""

    artifact_digest: str
    target: str
    context_length: int


class Engine:
    """Runs requests on one compiled model.  Not thread-safe: one thread adds, aborts and steps."""

    def __init__(
        self,
        runner: Runner,
        model: ServedModel,
        config: EngineConfig,
        num_pages: Sequence[int],
        *,
        drafter: Drafter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        _require_room(runner, config)
        self.model = model
        self._runner = runner
        self._config = config
        self._drafter = drafter or NoDraft()
        self._kv = PagedKVCache(num_pages, [group.window for group in runner.kv_groups])
        chunk_tokens = min(config.chunk_tokens, runner.max_step_tokens)
        capacity = self._kv.capacity(model.context_length, chunk_tokens)
        self._limits = Limits(runner.vocab_size, model.context_length, capacity)
        self._lanes = LaneTable(
            config.max_sequences, model.context_length, len(num_pages), runner.vocab_size
        )
        self._scheduler = Scheduler(
            self._kv,
            self._lanes,
            self._limits,
            max_open=config.max_open,
            chunk_tokens=chunk_tokens,
            max_logit_rows=runner.max_logit_rows,
            clock=clock,
        )
        self._num_steps = 0
        self._is_draining = False

    @property
    def has_work(self) -> bool:
        """Whether ``step`` has anything to compute or to hand out."""
        return self._scheduler.has_work

    @property
    def max_open(self) -> int:
        """Requests it holds at once, running and waiting."""
        return self._config.max_open

    @property
    def max_request_tokens(self) -> int:
        """Prompt and output together, of the longest request that can be served."""
        return min(self._limits.context_length, self._limits.capacity)

    @property
    def determinism(self) -> Determinism:
        """What every request has, whether it asks or not."""
        return self._config.determinism

    def add(self, request: Request) -> None:
        """Queue a request.  Raises QueueFull, ContextLengthExceeded, RequestRejected."""
        if self._is_draining:
            raise EngineFailed("the engine is draining and takes no new requests: use another")
        self._scheduler.add(request)

    def abort(self, request_id: str) -> None:
        """End a request now and free its pages; the next step says that it ended."""
        self._scheduler.abort(request_id)

    def drain(self) -> None:
        """Take no more requests."""
        self._is_draining = True

    def step(self) -> list[TokenOutput]:
        """Run one forward pass of the model and return what it settles.

        A sequence gains no token while its prompt is still being prefilled, one when decoding.
        An error the runner raises on purpose means that it refused the step and is sound: only the
        sequences of that step end. Any other leaves its state unknown and is not caught here.
        """
        plan = self._scheduler.schedule()  # host: choose sequences, reserve their KV pages
        if plan is None:
            return self._scheduler.take_ended()
        drafts = self._drafter.propose(plan)
        inputs = step_inputs(plan, drafts, self._lanes, self.determinism)
        self._num_steps += 1
        try:
            outputs = self._runner.forward(inputs)  # device: samples and accepts
        except InferFluxError as error:
            return self._scheduler.fail(plan, error)
        return self._scheduler.commit(plan, outputs)  # host: extend, finish, release pages

    def score(
        self, ids: Sequence[int], chunk: int, determinism: Determinism = Determinism.DEFAULT
    ) -> Array:
        """Log-probs of the token after each of ``ids``, teacher-forced.  (n,) -> (n, V) f32"""
        check_scored(ids, chunk, self._limits)
        determinism = in_force(self.determinism, determinism)
        return scoring.score(self._runner, self._kv, ids, chunk, determinism)

    def stats(self) -> EngineStats:
        return EngineStats(
            num_running=self._scheduler.num_running,
            num_waiting=self._scheduler.num_waiting,
            free_pages=self._kv.num_free,
            total_pages=self._kv.num_pages,
            num_steps=self._num_steps,
        )

    def hello(self) -> Hello:
        return Hello(
            protocol=PROTOCOL_VERSION,
            artifact_digest=self.model.artifact_digest,
            target=self.model.target,
            context_length=self.model.context_length,
            max_sequences=self._config.max_sequences,
            stats=self.stats(),
            determinism=self.determinism,
        )


def _require_room(runner: Runner, config: EngineConfig) -> None:
    """Every running sequence must be able to decode in one step, with a token left for prompts."""
    most = min(runner.max_step_tokens - 1, runner.max_logit_rows)
    if config.max_sequences > most:
        raise InvalidArgument(
            f"max_sequences is {config.max_sequences}: a step of this artifact has room for {most}"
        )

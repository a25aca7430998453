"""The one place where calls are admitted, tokenised, checked and handed to the engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from inferflux.engine.client import EngineClient
from inferflux.engine.determinism import in_force
from inferflux.engine.errors import EngineFailed, QueueFull
from inferflux.server import sequences
from inferflux.server.calls import Call
from inferflux.server.generation import Draining, Generation
from inferflux.server.limits import LIMITS, Limits
from inferflux.server.model import ServedModel
from inferflux.server.offload import Offload
from inferflux.server.sequences import EncodedPrompt
from inferflux.server.telemetry import RequestRecord

_CUT_SECONDS = 2.0  # for what the drain ended to say so to its client


class GenerationService:
    """What both doors open calls with.  A call is counted from its admission until it is closed."""

    def __init__(self, model: ServedModel, engine: EngineClient, limits: Limits = LIMITS) -> None:
        self.model = model
        self.engine = engine
        self.offload = Offload(limits.tokenizer_threads)
        self._max_in_flight = limits.requests_in_flight
        self._num_in_flight = 0
        self._running: set[Generation] = set()
        self._is_draining = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def is_ready(self) -> bool:
        """The model is loaded and warm, and the server means to stay."""
        return self.engine.is_ready and not self._is_draining

    async def open(self, call: Call, record: RequestRecord) -> Generation:
        """Admit a call and begin its answer, which the caller closes."""
        self.model.check_name(call.model)
        self._admit()
        try:
            prompts = await self.offload.run(sequences.encode, call, self.model)
            generation = self._start(call, prompts, record)
        except BaseException:  # a client that leaves while its prompt is tokenised, too
            self._release()
            raise
        self._running.add(generation)
        return generation

    async def tokenize(self, model: str, text: str, *, special: bool) -> list[int]:
        """The token ids of a text."""
        self.model.check_name(model)
        return await self.offload.run(self.model.tokenizer.encode, text, special=special)

    async def drain(self, window_seconds: float) -> None:
        """Refuse what is new, let what runs finish within the window, then end it with an error."""
        self._is_draining = True
        if await self._is_idle_within(window_seconds):
            return
        for generation in tuple(self._running):
            generation.cut()
        await self._is_idle_within(_CUT_SECONDS)

    def close(self) -> None:
        """End the threads; the engine and the model belong to whoever made them."""
        self.offload.close()

    def _admit(self) -> None:
        if self._is_draining:
            raise Draining("the server is stopping and takes nothing new; try another")
        if not self.engine.is_ready:
            raise EngineFailed("the engine is not ready; try again in a moment")
        if self._num_in_flight >= self._max_in_flight:
            raise QueueFull(
                f"{self._num_in_flight} requests are being answered, and no more at once; try later"
            )
        self._num_in_flight += 1
        self._is_idle.clear()

    def _start(
        self, call: Call, prompts: Sequence[EncodedPrompt], record: RequestRecord
    ) -> Generation:
        call_id = call.id_prefix + uuid.uuid4().hex
        hello = self.engine.hello
        opened = sequences.open_sequences(call_id, call, prompts, self.model, hello.context_length)
        generation = Generation(
            call_id,
            opened,
            self.engine,
            record,
            determinism=in_force(call.determinism, hello.determinism),
            timeout_seconds=call.timeout_seconds,
            on_close=self._close,
        )
        record.prompt_tokens = sum(len(prompt.ids) for prompt in prompts)
        return generation

    def _close(self, generation: Generation) -> None:
        self._running.discard(generation)
        self._release()

    def _release(self) -> None:
        self._num_in_flight -= 1
        if self._num_in_flight == 0:
            self._is_idle.set()

    async def _is_idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True

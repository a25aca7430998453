"""One call being answered: its chunks as they come, and the release of all that it holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from inferflux.engine.client import EngineClient, TokenStream
from inferflux.engine.determinism import Determinism
from inferflux.engine.errors import EngineFailed
from inferflux.engine.messages import FinishReason, Request, TokenOutput
from inferflux.errors import InferFluxError
from inferflux.server.calls import Chunk, Usage
from inferflux.server.merge import merge
from inferflux.server.sequence import SequenceText
from inferflux.server.telemetry import RequestRecord


class DeadlineExceeded(InferFluxError):
    """The time a request was given passed before its answer was complete."""

    code = "deadline_exceeded"


class Draining(InferFluxError):
    """The server is about to stop: it takes nothing new, or had to end what still ran."""

    code = "draining"


@dataclass(frozen=True, slots=True)
class OpenSequence:
    """A sequence as the engine sees it, and as its reader does."""

    request: Request
    text: SequenceText


class Generation:
    """The answer to one call.  Closing it aborts whatever the engine has not finished."""

    def __init__(
        self,
        call_id: str,
        sequences: Sequence[OpenSequence],
        engine: EngineClient,
        record: RequestRecord,
        *,
        determinism: Determinism,
        timeout_seconds: float,
        on_close: Callable[[Generation], None],
    ) -> None:
        self.id = call_id
        self.created = int(time.time())
        self.determinism = determinism  # that the engine keeps to
        self.num_sequences = len(sequences)
        self._unfinished = {sequence.request.request_id: sequence.text for sequence in sequences}
        self._streams = _submit(engine, [sequence.request for sequence in sequences])
        self._record = record
        self._deadline = asyncio.get_running_loop().time() + timeout_seconds
        self._waiting: asyncio.Timeout | None = None
        self._is_cut = False
        self._is_closed = False
        self._on_close = on_close
        self._chunks = self._read_all()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._chunks

    @property
    def usage(self) -> Usage:
        return Usage(self._record.prompt_tokens, self._record.output_tokens)

    def cut(self) -> None:
        """End the answer with an error now: the server has no more time for it."""
        self._is_cut = True
        self._deadline = asyncio.get_running_loop().time()
        if self._waiting is not None:
            self._waiting.reschedule(self._deadline)

    async def aclose(self) -> None:
        """Free what the call holds.  To close it once more does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        for stream in self._streams.values():
            await stream.aclose()
        self._on_close(self)
        await self._chunks.aclose()

    async def _read_all(self) -> AsyncGenerator[Chunk, None]:
        async with aclosing(merge(tuple(self._streams.values()))) as outputs:
            while self._unfinished:
                chunk = await self._read(await self._next(outputs))
                if chunk is not None:
                    yield chunk

    async def _next(self, outputs: AsyncGenerator[TokenOutput, None]) -> TokenOutput:
        try:
            async with asyncio.timeout_at(self._deadline) as self._waiting:
                output = await anext(outputs, None)
        except TimeoutError:
            raise self._out_of_time() from None
        finally:
            self._waiting = None
        if output is None:
            raise EngineFailed("the engine ended the answer before it was complete; try again")
        return output

    async def _read(self, output: TokenOutput) -> Chunk | None:
        if output.finish_reason is FinishReason.ABORT:
            raise self._out_of_time()  # nobody else aborts what is still being read
        text = self._unfinished[output.request_id]
        num_tokens = text.num_tokens
        chunk = text.read(output)
        self._record.wrote(text.num_tokens - num_tokens)
        if text.finish_reason is not None:
            del self._unfinished[output.request_id]
            await self._streams[output.request_id].aclose()  # at a stop string it still runs
        return chunk

    def _out_of_time(self) -> InferFluxError:
        if self._is_cut:
            return Draining("the server stopped before the answer was complete; send it again")
        return DeadlineExceeded("the answer was not complete within the time given; ask for less")


def _submit(engine: EngineClient, requests: Sequence[Request]) -> dict[str, TokenStream]:
    """All requests or none, where the queue has room for some of them only."""
    streams: dict[str, TokenStream] = {}
    try:
        for request in requests:
            streams[request.request_id] = engine.submit(request)
    except InferFluxError:
        for request_id in streams:
            engine.abort(request_id)
        raise
    return streams

"""The engine's main loop: take what clients say, run a step, hand up what it settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from inferflux.engine.errors import FrameError
from inferflux.engine.messages import (
    Abort,
    Command,
    Downward,
    Request,
    Start,
    StepFrame,
    TokenOutput,
)
from inferflux.engine.outputs import refusal
from inferflux.errors import InferFluxError

if TYPE_CHECKING:
    from inferflux.engine.engine import Engine


class Inbox(Protocol):
    """Where messages from the client arrive."""

    def take(self, *, waits: bool) -> Sequence[Downward]:
        """What has arrived; if it ``waits``, it returns only once something may have."""


def run(engine: Engine, inbox: Inbox, send: Callable[[StepFrame], None]) -> None:
    """Step while there is work and wait for messages while there is none, until ``shutdown``.

    Messages are taken between steps, so an abort frees its pages before the next one.
    """
    while True:
        messages = inbox.take(waits=not engine.has_work)
        if Command("shutdown") in messages:
            return
        refused = [output for m in messages if (output := _apply(engine, m)) is not None]
        if messages or engine.has_work:
            outputs = refused + engine.step()
            send(StepFrame(outputs, engine.stats()))


def _apply(engine: Engine, message: Downward) -> TokenOutput | None:
    """Do what a message asks; gives the answer to a request that was refused."""
    match message:
        case Request():
            return _add(engine, message)
        case Abort(request_id):
            engine.abort(request_id)
        case Command():
            engine.drain()
        case Start():
            raise FrameError("a second start frame: an engine loads one model")
    return None


def _add(engine: Engine, request: Request) -> TokenOutput | None:
    try:
        engine.add(request)
    except InferFluxError as error:
        return refusal(request, error)
    return None

"""The engine process: ``python -m inferflux.engine.worker FD LOADER``, started by launch alone."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from inferflux.engine.config import EngineConfig
from inferflux.engine.errors import FrameError
from inferflux.engine.frames import downward_frames, encode
from inferflux.engine.loop import run
from inferflux.engine.messages import PROTOCOL_VERSION, Downward, Failure, Start, Upward
from inferflux.errors import InferFluxError

if TYPE_CHECKING:
    from inferflux.engine.engine import Engine

log = logging.getLogger(__name__)

Loader: TypeAlias = "Callable[[EngineConfig], Engine]"

_RECEIVE_BYTES = 1 << 20


class PeerLeft(Exception):
    """The server's end of the socket is closed: it ended, or wants this process to."""


class SocketInbox:
    """Messages from the server's end of the socket."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._frames = downward_frames()

    def take(self, *, waits: bool) -> Sequence[Downward]:
        """All that has arrived; waiting, at least a part of a frame has."""
        try:
            received = self._peer.recv(_RECEIVE_BYTES, 0 if waits else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return ()
        except ConnectionError as error:
            raise PeerLeft from error
        if not received:
            raise PeerLeft
        return self._frames.feed(received)

    def take_start(self) -> EngineConfig:
        """The configuration in the first frame."""
        while not (messages := self.take(waits=True)):
            pass
        match messages:
            case [Start(protocol=protocol, config=config)] if protocol == PROTOCOL_VERSION:
                return config
            case [Start(protocol=protocol)]:
                raise FrameError(
                    f"the server speaks protocol {protocol}, this engine {PROTOCOL_VERSION}:"
                    " install one version of both"
                )
            case _:
                raise FrameError("the first frame is no start frame")


def main() -> int:
    """Serve one connection; returns the exit status.

    It is given as an open file descriptor; the loader is ``module:function`` from config to engine.
    """
    gc.disable()  # nothing that is imported or loaded is garbage
    _, descriptor, loader = sys.argv
    logging.basicConfig(level=logging.INFO, format="engine: %(levelname)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group: the server decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing to save: every state is the server's
    with socket.socket(fileno=int(descriptor)) as peer:
        return _serve(peer, loader)


def _serve(peer: socket.socket, loader: str) -> int:
    """Until the server leaves.  What goes wrong is told to it and logged: this is the boundary."""
    try:
        inbox, load = SocketInbox(peer), _named(loader)  # imported before there is a config
        engine = load(inbox.take_start())
        gc.freeze()  # it stays: no collection need look at it again
        gc.enable()
        _send(peer, engine.hello())
        run(engine, inbox, lambda frame: _send(peer, frame))
    except PeerLeft:
        return 0
    except InferFluxError as error:
        log.error("the engine ends: %s", error)
        _send_last(peer, Failure(error.code, str(error)))
        return 1
    except Exception as error:
        log.exception("the engine ends")
        _send_last(peer, Failure(InferFluxError.code, f"{type(error).__name__}: {error}"))
        return 1
    return 0


def _send(peer: socket.socket, message: Upward) -> None:
    try:
        peer.sendall(encode(message))
    except ConnectionError as error:
        raise PeerLeft from error


def _send_last(peer: socket.socket, message: Failure) -> None:
    with contextlib.suppress(PeerLeft):
        _send(peer, message)


def _named(loader: str) -> Loader:
    module, _, function = loader.partition(":")
    made: Loader = getattr(importlib.import_module(module), function)
    return made


if __name__ == "__main__":
    sys.exit(main())

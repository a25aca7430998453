"""Frames: how messages stand on the private socket.  A length, then one msgpack message."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from inferflux.engine.errors import FrameError
from inferflux.engine.messages import Downward, Upward

MAX_FRAME_BYTES = 8 << 20
LENGTH = struct.Struct("<I")  # of the message, without itself

Message = TypeVar("Message")


def _path_from(kind: type, value: Any) -> Path:
    """msgspec asks this for the one foreign type a message holds: the artifact's path."""
    assert kind is Path, f"no message holds a {kind}"
    return Path(value)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=str)  # Path
_DOWNWARD = msgspec.msgpack.Decoder[Downward](Downward, dec_hook=_path_from)
_UPWARD = msgspec.msgpack.Decoder[Upward](Upward)


def encode(message: Downward | Upward) -> bytes:
    """One frame.  Raises FrameError if it is longer than the other side would take."""
    body = _ENCODER.encode(message)
    _require_bounded(len(body))
    return LENGTH.pack(len(body)) + body


class FrameReader(Generic[Message]):
    """Cuts a stream of bytes into messages.  Holds at most one frame."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[Message]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, received: bytes) -> list[Message]:
        """The messages that ``received`` completes.  Raises FrameError on what is none."""
        self._buffer += received
        messages: list[Message] = []
        start = 0
        while (end := self._frame_end(start)) is not None:
            messages.append(_decode(self._decoder, self._buffer[start + LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return messages

    def _frame_end(self, start: int) -> int | None:
        """Where the frame at ``start`` ends, if all of it is here."""
        if len(self._buffer) - start < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._buffer, start)
        _require_bounded(length)
        end = start + LENGTH.size + length
        return end if end <= len(self._buffer) else None


def downward_frames() -> FrameReader[Downward]:
    """What the engine reads with."""
    return FrameReader(_DOWNWARD)


def decode_upward(body: bytes) -> Upward:
    """The message in a frame from the engine."""
    message: Upward = _decode(_UPWARD, body)
    return message


def _decode(decoder: msgspec.msgpack.Decoder[Message], body: bytes | bytearray) -> Message:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a frame of {len(body)} bytes is no message: {error}") from error


def _require_bounded(length: int) -> None:
    if length > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {length} bytes: the limit is {MAX_FRAME_BYTES}")

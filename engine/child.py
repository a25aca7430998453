"""An engine's process as this one speaks to it: frames over the private socket, and its end."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass

from inferflux.engine.config import EngineConfig
from inferflux.engine.errors import FrameError
from inferflux.engine.frames import LENGTH, MAX_FRAME_BYTES, decode_upward, encode
from inferflux.engine.launch import Launched
from inferflux.engine.messages import PROTOCOL_VERSION, Downward, Start, Upward


class ChildEnded(Exception):
    """The child's end of the socket is closed."""


@dataclass(slots=True)
class Child:
    """One engine process."""

    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, message: Downward) -> None:
        """Queue a message.  What is queued is bounded: so are open requests, and frames."""
        self.writer.write(encode(message))

    async def receive(self) -> Upward:
        """The child's next message.  Raises ChildEnded, FrameError."""
        try:
            (length,) = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"the engine sent a frame of {length} bytes")
            return decode_upward(await self.reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ChildEnded from error

    async def stop(self, grace: float) -> int:
        """Close the socket, which ends the child; kill it where it has not in ``grace`` seconds."""
        self.writer.close()
        ended = asyncio.ensure_future(asyncio.to_thread(self.process.wait))
        await asyncio.wait([ended], timeout=grace)
        if not ended.done():
            self.process.kill()
        return await ended


async def begin(launched: Launched, config: EngineConfig) -> Child:
    """Tell a process what to load."""
    reader, writer = await asyncio.open_unix_connection(sock=launched.socket)
    child = Child(launched.process, reader, writer)
    child.send(Start(PROTOCOL_VERSION, config))
    return child

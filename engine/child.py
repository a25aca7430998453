"""A child process that runs an engine, and the private socket it is spoken to through."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import dataclass

from inferflux.engine.config import EngineConfig
from inferflux.engine.errors import FrameError
from inferflux.engine.frames import LENGTH, MAX_FRAME_BYTES, decode_upward, encode
from inferflux.engine.messages import PROTOCOL_VERSION, Downward, Start, Upward


class ChildEnded(Exception):
    """The child's end of the socket is closed."""


@dataclass(slots=True)
class Child:
    """One engine process.  The socket has no name anywhere: only these two can reach it."""

    process: asyncio.subprocess.Process
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
        try:
            async with asyncio.timeout(grace):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


async def spawn(config: EngineConfig, loader: str) -> Child:
    """Start an engine process and tell it what to load."""
    ours, theirs = socket.socketpair()
    with theirs:
        # -P: the working directory is no place to import from.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "inferflux.engine.worker"),
            *("--fd", str(theirs.fileno()), "--loader", loader),
            pass_fds=(theirs.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    child = Child(process, reader, writer)
    child.send(Start(PROTOCOL_VERSION, config))
    return child

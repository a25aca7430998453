"""The doors as the bench sees them; the gRPC one is asked for real in tests/e2e."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from inferflux.bench.errors import BenchFailed
from inferflux.bench.serving.http_door import HttpDoor
from inferflux.bench.serving.server import Addresses
from inferflux.errors import InvalidArgument

EVENTS = (
    b'data: {"choices": [{"text": "a"}]}\n\n',
    b'data: {"choices": [{"text": "b"}]}\n\ndata: {"choi',
    b'ces": [], "usage": {"completion_tokens": 3}}\n\ndata: [DONE]\n\n',
)
MODELS = b'{"data": [{"id": "tiny"}]}'


def answer(*pieces: bytes, status: str = "200 OK") -> bytes:
    chunks = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    head = f"HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return head + chunks + b"0\r\n\r\n"


class Answering:
    """An HTTP server that says the same to every POST."""

    def __init__(self, said: bytes) -> None:
        self.said = said
        self.asked = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(answer(MODELS))
        else:
            self.asked = await reader.read(65536)
            writer.write(self.said)
        await writer.drain()
        writer.close()


@pytest.fixture
async def served() -> AsyncIterator[tuple[HttpDoor, Answering]]:
    said = Answering(answer(*EVENTS))
    server = await asyncio.start_server(said, "127.0.0.1", 0)
    async with server:
        yield HttpDoor("127.0.0.1", server.sockets[0].getsockname()[1]), said


async def test_events_are_messages_and_the_usage_has_the_rest(
    served: tuple[HttpDoor, Answering],
) -> None:
    door, said = served
    messages = [message async for message in door.generate([5, 6], 3)]
    assert [(message.num_tokens, message.is_late) for message in messages] == [
        *((1, False), (1, False), (1, True))
    ]
    assert b'"prompt":[5,6]' in said.asked
    assert b'"model":"tiny"' in said.asked


@pytest.mark.parametrize(
    ("status", "code"), [("429 Too Many Requests", "refused"), ("400 Bad Request", "bench_failed")]
)
async def test_only_a_server_without_room_has_refused(
    status: str, code: str, served: tuple[HttpDoor, Answering]
) -> None:
    door, said = served
    said.said = answer(b"because", status=status)
    with pytest.raises(BenchFailed, match=f"answered {status[:3]}: because") as raised:
        [message async for message in door.generate([5], 1)]
    assert raised.value.code == code


async def test_an_answer_that_breaks_off_is_a_failure(served: tuple[HttpDoor, Answering]) -> None:
    door, said = served
    said.said = answer(*EVENTS)[:60]
    with pytest.raises(BenchFailed, match="broke off"):
        [message async for message in door.generate([5], 1)]


async def test_an_error_in_the_stream_is_a_failure(served: tuple[HttpDoor, Answering]) -> None:
    door, said = served
    said.said = answer(b'data: {"error": "the engine failed"}\n\n')
    with pytest.raises(BenchFailed, match="the engine failed"):
        [message async for message in door.generate([5], 1)]


async def test_a_url_names_one_door() -> None:
    (http,) = Addresses.parse("http://127.0.0.1:8000/").doors()
    (grpc,) = Addresses.parse("grpc://127.0.0.1:8001").doors()
    assert (http.name, grpc.name) == ("http", "grpc")
    await grpc.close()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a:1", "http://localhost"])
def test_a_url_that_names_no_door_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="grpc://HOST:PORT"):
        Addresses.parse(url)

"""The HTTP door: /v1/completions as server-sent events, read by as little code as will do.

The client runs on the cores it measures, so it must cost next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import httptools
import orjson

from inferflux.bench.errors import BenchFailed
from inferflux.bench.serving.door import Message, Refused

_READ_BYTES = 1 << 16
_NO_ROOM = (429, 503)
_EVENT = b"data: "
_DONE = b"[DONE]"


class HttpDoor:
    """``model`` None is the only one the server has."""

    name = "http"

    def __init__(self, host: str, port: int, model: str | None = None) -> None:
        self._host, self._port = host, port
        self._model = model

    async def generate(
        self, prompt: Sequence[int], max_tokens: int
    ) -> AsyncGenerator[Message, None]:
        body = {
            "model": await self._name_of_model(),
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        seen = 0
        async for event in self._events(
            self._request("POST", "/v1/completions", orjson.dumps(body))
        ):
            if "error" in event:
                raise BenchFailed(f"{self._host}:{self._port} ended a stream: {event['error']}")
            if event["choices"]:
                seen += 1  # an event holds a token, and sometimes more: the usage has them all
                yield Message(1)
            elif (unseen := event["usage"]["completion_tokens"] - seen) > 0:
                yield Message(unseen, is_late=True)

    async def close(self) -> None:
        """Every request has a connection of its own, which ends with it."""

    async def _name_of_model(self) -> str:
        if self._model is None:
            answers = [
                answer async for answer in self._exchange(self._request("GET", "/v1/models"))
            ]
            self._model = str(orjson.loads(b"".join(answers))["data"][0]["id"])
        return self._model

    async def _events(self, request: bytes) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON of each event as it comes."""
        text = b""
        async for received in self._exchange(request):
            *whole, text = (text + received).split(b"\n\n")
            for event in whole:
                payload = event.removeprefix(_EVENT)
                if payload != _DONE:
                    yield orjson.loads(payload)

    async def _exchange(self, request: bytes) -> AsyncGenerator[bytes, None]:
        """Send a request and give the answer's body as it comes."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(request)
            answer = _Answer()
            while not answer.is_complete:
                received = await reader.read(_READ_BYTES)
                if not received:
                    raise BenchFailed(f"{self._host}:{self._port} broke off its answer")
                body = b"".join(answer.feed(received))
                self._require_success(answer.status, body)
                yield body
        finally:
            writer.close()

    def _request(self, method: str, path: str, body: bytes = b"") -> bytes:
        headers = (
            f"host: {self._host}:{self._port}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        )
        return f"{method} {path} HTTP/1.1\r\n{headers}\r\n".encode() + body

    def _require_success(self, status: int, body: bytes) -> None:
        if status >= 400:
            kind = Refused if status in _NO_ROOM else BenchFailed
            raise kind(f"{self._host}:{self._port} answered {status}: {body.decode()}")


class _Answer:
    """One HTTP answer being parsed."""

    def __init__(self) -> None:
        self.status = 0
        self.is_complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[bytes]:
        """The pieces of body that ``received`` holds."""
        self._parser.feed_data(received)
        body, self._body = self._body, []
        yield from body

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.is_complete = True

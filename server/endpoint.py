"""A declared HTTP route as an ASGI app: it reads, answers, records, and lets nothing escape."""

from __future__ import annotations

from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferflux.server import errors
from inferflux.server.exchange import ClientLeft, Exchange, read_body, while_connected
from inferflux.server.http_handlers import json_response
from inferflux.server.routes import HttpRoute
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import RequestRecord, Telemetry


class Endpoint:
    """One route.  Whatever a request holds is freed when this returns."""

    def __init__(self, route: HttpRoute, service: GenerationService, telemetry: Telemetry) -> None:
        self._route = route
        self._service = service
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._telemetry.request(self._route.path, self._route.access.log_level) as record:
            async with AsyncExitStack() as held:
                response = await self._respond(scope, receive, record, held)
                named = _naming(send, record)
                try:
                    await while_connected(receive, response(scope, receive, named))
                except ClientLeft as error:
                    record.failed(error)

    async def _respond(
        self, scope: Scope, receive: Receive, record: RequestRecord, held: AsyncExitStack
    ) -> ASGIApp:
        try:
            body = b"" if self._route.schema is None else await read_body(scope, receive)
            exchange = Exchange(Request(scope), body, self._service, self._telemetry, record, held)
            return await while_connected(receive, self._route.handler(exchange))
        except (
            Exception
        ) as error:  # the door is a boundary: the client gets a status, never a trace
            return failure(error, record)


def failure(error: Exception, record: RequestRecord) -> Response:
    """The error as a response."""
    record.failed(error)
    response = json_response(errors.body(error, record.request_id), errors.status(error).http)
    response.headers.update(errors.headers(error))
    return response


def _naming(send: Send, record: RequestRecord) -> Send:
    """Send with the request's id in the headers, so that a log line can be found."""

    async def send_named(message: Message) -> None:
        if message["type"] == "http.response.start":
            header = (b"x-request-id", record.request_id.encode())
            message = {**message, "headers": [*message.get("headers", []), header]}
        await send(message)

    return send_named

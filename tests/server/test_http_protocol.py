"""Raw bytes cannot make the HTTP door keep more than its limits say."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferflux.server import http_protocol
from inferflux.server.limits import LIMITS

HOST = b"host: localhost\r\n"
REQUEST_LINE = b"GET /livez HTTP/1.1\r\n"


async def exchange(server, *pieces: bytes) -> bytes:
    """What the server writes until it closes the connection."""
    reader, writer = await asyncio.open_connection(server.http.host, server.http.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def request(*headers: bytes) -> bytes:
    lines = (HOST, b"connection: close\r\n", *headers)
    return REQUEST_LINE + b"".join(lines) + b"\r\n"


async def test_header_fields_are_refused_just_past_their_limit(server):
    fitting = [b"x-%d: y\r\n" % n for n in range(LIMITS.header_fields - 2)]
    assert status(await exchange(server, request(*fitting))) == 200
    assert status(await exchange(server, request(*fitting, b"x: y\r\n"))) == 431


async def test_header_bytes_are_refused_past_their_limit(server):
    room = LIMITS.header_bytes - len(request()) - len("x: \r\n")
    assert status(await exchange(server, request(b"x: " + b"y" * (room - 2) + b"\r\n"))) == 200
    assert status(await exchange(server, request(b"x: " + b"y" * (room + 64) + b"\r\n"))) == 431


async def test_a_header_that_never_ends_is_cut(server):
    answer = await exchange(server, REQUEST_LINE + b"x: ", *[b"y" * 4096] * 32)
    assert answer == b"" or status(answer) == 431


async def test_trailers_that_never_end_are_cut(server):
    chunked = b"POST /v1/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n" + HOST
    pieces = [b"y" * 65536] * (LIMITS.wire_bytes // 65536 + 16)
    await exchange(server, chunked + b"\r\n0\r\nx: ", *pieces)


async def test_headers_that_do_not_come_are_timed_out(server, monkeypatch):
    monkeypatch.setattr(http_protocol, "LIMITS", replace(LIMITS, header_seconds=0.05))
    assert status(await exchange(server, REQUEST_LINE)) == 408


async def test_what_is_no_http_is_400(server):
    assert status(await exchange(server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")) == 400


async def test_a_request_without_a_host_or_with_two_is_refused(server):
    assert (
        status(await exchange(server, b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n")) == 421
    )
    assert status(await exchange(server, request(HOST))) in (400, 421)


@pytest.mark.parametrize("piece", [1, 7])
async def test_a_request_may_come_in_small_pieces(server, piece):
    whole = request()
    pieces = [whole[start : start + piece] for start in range(0, len(whole), piece)]
    assert status(await exchange(server, *pieces)) == 200


async def test_mutated_requests_never_give_5xx(server, http):
    whole = (
        b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        b'content-length: 31\r\n\r\n{"model":"served","prompt":"a"}'
    )

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(whole) - 1), st.binary(max_size=4), st.integers(0, 4))
    def mutated(at: int, inserted: bytes, removed: int) -> None:
        cases.append(whole[:at] + inserted + whole[at + removed :])

    cases: list[bytes] = []
    mutated()
    for case in cases:
        answer = await asyncio.wait_for(cut_short(server, case), timeout=5)
        assert not answer or status(answer) < 500, case
    assert (await http.get("/livez")).status_code == 200


async def cut_short(server, sent: bytes) -> bytes:
    """As ``exchange``, but the client sends no more after ``sent``."""
    reader, writer = await asyncio.open_connection(server.http.host, server.http.port)
    try:
        writer.write(sent)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()

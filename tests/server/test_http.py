"""The HTTP door answers, refuses and records as the table of statuses says."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import httpx
import pytest

from inferflux.engine.errors import EngineFailed
from inferflux.server import sse
from inferflux.server.exchange import ClientLeft
from inferflux.server.limits import LIMITS

COMPLETION = {"model": "served", "prompt": "a"}


async def events(http, body):
    """The payloads of an SSE answer."""
    async with http.stream("POST", "/v1/completions", json=body | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        frames = [line async for line in answer.aiter_lines() if line]
    assert all(frame.startswith("data: ") for frame in frames)
    return [frame.removeprefix("data: ") for frame in frames]


async def test_a_stream_ends_with_done(http):
    payloads = await events(http, COMPLETION)
    assert payloads[-1] == "[DONE]"
    assert "".join(json.loads(p)["choices"][0]["text"] for p in payloads[:-1]) == "hello world"


async def test_an_engine_that_dies_in_mid_stream_ends_it_with_an_error_event(http, server):
    server.engine.fails_after("hello", EngineFailed("the engine died; try again"))
    payloads = [json.loads(payload) for payload in await events(http, COMPLETION)]
    assert payloads[0]["choices"][0]["text"] == "hello"
    assert payloads[-1]["error"]["code"] == "engine_failed"


async def test_an_engine_that_dies_before_an_answer_is_503(http, server):
    server.engine.fails_after("hello", EngineFailed("the engine died; try again"))
    answer = await http.post("/v1/completions", json=COMPLETION)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert not server.engine.open


async def test_a_full_queue_is_429_at_once(http, server):
    server.engine.max_open = 0
    answer = await http.post("/v1/completions", json=COMPLETION)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["type"] == "rate_limit_error"


async def test_a_client_that_leaves_in_mid_stream_frees_its_sequence(http, server):
    server.engine.hangs_after("hello")
    async with http.stream("POST", "/v1/completions", json=COMPLETION | {"stream": True}) as answer:
        async for _ in answer.aiter_lines():
            break
    await server.engine.all_freed.wait()
    assert server.engine.aborted


async def test_a_client_that_leaves_before_a_whole_answer_frees_its_sequence(http, server):
    server.engine.hangs_after("hello")
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/v1/completions", json=COMPLETION, timeout=0.1)
    await server.engine.all_freed.wait()
    assert server.engine.aborted


async def test_an_unforeseen_error_is_500_with_an_id_and_without_its_text(
    http, server, monkeypatch, caplog
):
    text = "secret"

    def fail(request):
        raise ValueError(text)

    monkeypatch.setattr(server.engine, "submit", fail)
    answer = await http.post("/v1/completions", json=COMPLETION)
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    assert request_id in answer.json()["error"]["message"]
    assert request_id in caplog.text
    assert "secret" not in answer.text + caplog.text


async def test_an_unknown_path_and_an_undeclared_method_are_refused(http):
    assert (await http.get("/v1/nothing")).status_code == 404
    assert (await http.get("/docs")).json()["error"]["code"] == "route_not_found"
    refused = await http.delete("/v1/models")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": NaN}', b"[" * 10_000, b"{}x"],
)
async def test_a_body_that_is_no_request_is_400(http, body):
    answer = await http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_refused_field_is_the_errors_param(http):
    answer = await http.post("/v1/completions", json=COMPLETION | {"best_of": 3})
    assert answer.json()["error"]["param"] == "best_of"


async def test_a_body_is_refused_just_past_its_limit(http):
    filler = b" " * (LIMITS.body_bytes - len(json.dumps(COMPLETION)))
    fitting = json.dumps(COMPLETION).encode() + filler
    assert (await http.post("/v1/completions", content=fitting)).status_code == 200
    refused = await http.post("/v1/completions", content=fitting + b" ")
    assert refused.status_code == 413


async def test_a_body_of_unknown_length_is_counted_as_it_comes(http):
    async def chunks():
        for _ in range(LIMITS.body_bytes // 65536 + 1):
            yield b" " * 65536

    assert (await http.post("/v1/completions", content=chunks())).status_code == 413


async def test_a_compressed_body_is_refused(http):
    answer = await http.post("/v1/completions", content=b"x", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:9", "[::1]:1", "[::1]"])
async def test_a_loopback_host_is_answered(http, host):
    assert (await http.get("/livez", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil", "", "a@localhost", "[::1"]
)
async def test_another_host_is_refused(http, host):
    assert (await http.get("/livez", headers={"host": host})).status_code == 421


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil", ""])
async def test_a_page_of_another_host_is_refused(http, origin):
    answer = await http.post("/v1/completions", json=COMPLETION, headers={"origin": origin})
    assert answer.status_code == 403


async def test_a_page_of_this_host_is_answered(http):
    headers = {"origin": "http://localhost:5173"}
    assert (await http.get("/v1/models", headers=headers)).status_code == 200


async def test_ready_follows_the_engine_and_live_does_not(http, server):
    assert (await http.get("/readyz")).status_code == 200
    server.engine.is_ready = False
    assert (await http.get("/readyz")).status_code == 503
    assert (await http.get("/livez")).status_code == 200
    assert (await http.post("/v1/completions", json=COMPLETION)).status_code == 503


async def test_metrics_count_requests_tokens_and_pages(http, server):
    await http.post("/v1/completions", json=COMPLETION)
    await http.post("/v1/completions", json={"model": "gpt-9", "prompt": "a"})
    text = (await http.get("/metrics")).text
    assert 'inferflux_requests_total{code="ok",route="/v1/completions"} 1.0' in text
    assert 'inferflux_requests_total{code="model_not_found",route="/v1/completions"} 1.0' in text
    assert "inferflux_prompt_tokens_total 1.0" in text
    assert "inferflux_output_tokens_total 7.0" in text
    assert "inferflux_free_pages 100.0" in text
    assert "inferflux_ttft_seconds_count 1.0" in text
    assert "inferflux_tpot_seconds_count 1.0" in text
    assert 'inferflux_tpot_seconds_bucket{le="+Inf"} 1.0' in text
    assert "inferflux_requests_in_flight 1.0" in text  # this one


async def test_a_request_is_one_log_line_without_prompt_or_output(http, caplog):
    caplog.set_level(logging.INFO, logger="inferflux")
    await http.post("/v1/completions", json=COMPLETION | {"prompt": "canary"})
    await http.get("/livez")  # by now the line of the first is written
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("infer")]
    assert len(lines) == 1
    assert "route=/v1/completions code=ok prompt_tokens=6 output_tokens=7" in lines[0]
    assert "canary" not in caplog.text
    assert "hello" not in caplog.text


async def test_sixteen_streams_all_finish(http):
    answers = await asyncio.gather(*(events(http, COMPLETION) for _ in range(16)))
    assert all(payloads[-1] == "[DONE]" for payloads in answers)
    assert len({json.loads(payloads[0])["id"] for payloads in answers}) == 16


async def test_a_client_that_never_reads_loses_its_place(monkeypatch):
    monkeypatch.setattr(sse, "LIMITS", replace(LIMITS, unread_seconds=0.01))
    is_closed = asyncio.Event()

    async def frames():
        try:
            yield b"data: 1\n\n"
        finally:
            is_closed.set()

    async def stalled(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with pytest.raises(ClientLeft):
        await sse.EventStream(frames())({}, None, stalled)
    assert is_closed.is_set()

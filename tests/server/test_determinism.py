"""An answer says which determinism ran, at both doors: what was asked, or more."""

from __future__ import annotations

import json

import pytest

from inferflux.engine.determinism import Determinism

DEFAULT, INVARIANT = Determinism
COMPLETION = {"model": "served", "prompt": "a"}
CHAT = {"model": "served", "messages": [{"role": "user", "content": "hi"}]}
BODIES = {"/v1/completions": COMPLETION, "/v1/chat/completions": CHAT}
METHODS = {"Generate": {"model": "served", "text": "a"}, "Chat": CHAT}
OF_SERVER_ASKED_RAN = [
    (DEFAULT, None, DEFAULT),
    (DEFAULT, DEFAULT, DEFAULT),
    (DEFAULT, INVARIANT, INVARIANT),
    (INVARIANT, None, INVARIANT),
    (INVARIANT, DEFAULT, INVARIANT),
    (INVARIANT, INVARIANT, INVARIANT),
]
every_combination = pytest.mark.parametrize(("of_server", "asked", "ran"), OF_SERVER_ASKED_RAN)


@every_combination
@pytest.mark.parametrize("path", BODIES)
async def test_an_http_answer_says_what_ran(http, engine, path, of_server, asked, ran):
    engine.determinism = of_server
    answer = await http.post(path, json=BODIES[path] | {"determinism": asked})
    assert answer.json()["determinism"] == ran
    assert engine.requests[0].determinism == (asked or DEFAULT)


@pytest.mark.parametrize("path", BODIES)
async def test_every_event_of_a_stream_says_what_ran(http, path):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    body = BODIES[path] | options | {"determinism": "batch_invariant"}
    async with http.stream("POST", path, json=body) as answer:
        frames = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]
    assert {json.loads(frame)["determinism"] for frame in frames[:-1]} == {"batch_invariant"}


@every_combination
@pytest.mark.parametrize("method", METHODS)
async def test_every_message_of_grpc_says_what_ran(
    inference, engine, method, of_server, asked, ran
):
    engine.determinism = of_server
    choice = {"determinism": f"DETERMINISM_{asked.name}"} if asked else {}
    messages = [message async for message in inference.call(method, **METHODS[method], **choice)]
    assert {message.determinism for message in messages} == {list(Determinism).index(ran)}
    assert engine.requests[0].determinism == (asked or DEFAULT)


@pytest.mark.parametrize("path", BODIES)
async def test_an_unknown_determinism_is_refused_by_its_field(http, path):
    refused = await http.post(path, json=BODIES[path] | {"determinism": "fastest"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "determinism"

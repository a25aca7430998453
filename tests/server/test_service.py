"""Calls are admitted within bounds and let go of everything, however they end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from inferflux.engine.errors import EngineFailed, QueueFull
from inferflux.server.calls import Call, Sampling, Text
from inferflux.server.generation import DeadlineExceeded
from inferflux.server.limits import LIMITS
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import RequestRecord

CALL = Call("served", (Text("a"),), Sampling())


@pytest.fixture
async def service(engine):
    made = GenerationService(engine.model, engine, replace(LIMITS, requests_in_flight=2))
    yield made
    made.close()


async def answer(service, call=CALL):
    async with aclosing(await service.open(call, RequestRecord("test"))) as generation:
        return [chunk async for chunk in generation]


async def test_one_call_more_than_the_limit_is_refused_until_one_ends(service, engine):
    engine.hangs_after("")
    held = [await service.open(CALL, RequestRecord("test")) for _ in range(2)]
    with pytest.raises(QueueFull, match="2 requests"):
        await service.open(CALL, RequestRecord("test"))
    for generation in held:
        await generation.aclose()
    engine.script = None
    assert await answer(service)


async def test_a_refused_call_gives_back_its_place(service, engine):
    for _ in range(5):
        with pytest.raises(Exception, match="context"):
            await answer(service, replace(CALL, prompts=(Text("x" * 500),)))
    assert await answer(service)


async def test_a_call_cancelled_while_it_is_tokenised_gives_back_its_place(service, engine):
    for _ in range(5):
        opening = asyncio.create_task(service.open(CALL, RequestRecord("test")))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert await answer(service)


async def test_a_call_that_is_closed_unread_frees_its_sequences(service, engine):
    engine.hangs_after("")
    generation = await service.open(replace(CALL, sampling=Sampling(n=3)), RequestRecord("test"))
    assert len(engine.open) == 3
    await generation.aclose()
    await generation.aclose()
    assert not engine.open


async def test_a_call_past_its_deadline_ends_with_an_error(service, engine):
    engine.hangs_after("hello")
    with pytest.raises(DeadlineExceeded):
        await answer(service, replace(CALL, timeout_seconds=0.01))
    assert not engine.open


async def test_one_sequence_that_fails_frees_the_others(service, engine):
    engine.fails_after("hello", EngineFailed("died"))
    with pytest.raises(EngineFailed):
        await answer(service, replace(CALL, sampling=Sampling(n=4)))
    assert not engine.open


async def test_sequences_of_a_call_share_nothing_but_their_prompt(service, engine):
    chunks = await answer(service, replace(CALL, sampling=Sampling(n=4)))
    texts = {i: "".join(chunk.text for chunk in chunks if chunk.index == i) for i in range(4)}
    assert set(texts.values()) == {"hello world"}
    assert len({request.request_id for request in engine.requests}) == 4


async def test_the_first_sequence_does_not_depend_on_how_many_there_are(service, engine):
    await answer(service, replace(CALL, sampling=Sampling(seed=-1)))
    await answer(service, replace(CALL, sampling=Sampling(seed=-1, n=2)))
    seeds = [request.sampling.seed for request in engine.requests]
    assert seeds[0] == seeds[1] == 2**64 - 1
    assert seeds[2] != seeds[1]


async def test_a_call_without_a_seed_gets_one_of_its_own(service, engine):
    await answer(service)
    await answer(service)
    first, second = (request.sampling.seed for request in engine.requests)
    assert first != second

"""An engine in a process of its own: what its client sees when either of them dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from inferflux.engine.config import EngineConfig
from inferflux.engine.errors import ContextLengthExceeded, EngineFailed, QueueFull, RequestRejected
from inferflux.engine.frames import LENGTH, encode
from inferflux.engine.in_process import InProcessClient
from inferflux.engine.messages import FinishReason, Start
from inferflux.engine.process import Backoff, EngineProcess

HERE = Path(__file__).parent
LOADER = "fake_runner:load"
WORKER = (sys.executable, "-P", "-m", "inferflux.engine.worker")
CONFIG = EngineConfig(Path("fake.ifx"), max_sequences=4, max_waiting=4, chunk_tokens=32)


@pytest.fixture(autouse=True)
def workers_find_the_fake(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)


@asynccontextmanager
async def process(config=CONFIG, **more):
    client = EngineProcess(config, loader=LOADER, backoff=Backoff(first=0.01), **more)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def thread(fake):
    client = InProcessClient(fake.engine(max_sequences=4, max_waiting=4))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(params=["process", "thread"])
async def client(request, fake):
    async with process() if request.param == "process" else thread(fake) as client:
        yield client


async def tokens_of(stream):
    async with aclosing(stream) as outputs:
        return [token async for output in outputs for token in output.tokens]


async def until(claim, turns=2000):
    """Give the engine's frames time to arrive; a claim that never holds fails the test."""
    for _ in range(turns):
        if claim():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came true")


async def test_streams_carry_their_own_tokens(client, fake, request_of):
    streams = [client.submit(request_of(str(i), [i, 2, 3], 20)) for i in range(8)]
    tokens = await asyncio.gather(*map(tokens_of, streams))
    assert tokens == [fake.generated([i, 2, 3], 20) for i in range(8)]


async def test_the_surplus_is_refused_at_once_and_the_rest_finish(client, fake, request_of):
    streams, refused = [], 0
    for index in range(20):
        try:
            streams.append(client.submit(request_of(str(index), [index], 4)))
        except QueueFull:
            refused += 1
    assert refused == 12
    assert [len(tokens) for tokens in await asyncio.gather(*map(tokens_of, streams))] == [4] * 8


async def test_a_stream_that_nobody_reads_holds_up_no_other(client, fake, request_of):
    unread = client.submit(request_of("unread", [1], 100))
    assert await tokens_of(client.submit(request_of("read", [2], 100))) == fake.generated([2], 100)
    assert await tokens_of(unread) == fake.generated([1], 100)


@pytest.fixture(params=["process", "thread"])
async def long_client(request, fake):
    if request.param == "process":
        async with process(EngineConfig(Path("long.ifx"))) as client:
            yield client
    else:
        client = InProcessClient(fake.long_engine())
        yield client
        await client.close()


async def test_a_closed_stream_frees_its_pages(long_client, fake, request_of):
    client, most = long_client, fake.LONG // 2
    async with aclosing(client.submit(request_of("a", [1] * 60, most))) as outputs:
        await anext(outputs)
    await until(lambda: client.stats.num_steps > 0 and client.stats.num_running == 0)
    assert client.stats.free_pages == client.stats.total_pages
    assert client.stats.num_steps < most


async def test_closing_a_stream_wakes_whoever_waits_for_it(client, fake, request_of):
    stream = client.submit(request_of("a", [1], 100))
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    await stream.aclose()
    assert await asyncio.wait_for(waiting, timeout=30) is None


async def test_an_aborted_request_ends_with_abort(client, request_of):
    stream = client.submit(request_of("a", [1], 100))
    client.abort("a")
    outputs = [output async for output in stream]
    assert outputs[-1].finish_reason is FinishReason.ABORT
    assert len(outputs) < 100


async def test_what_the_engine_refuses_is_raised_with_its_type(client, request_of):
    with pytest.raises(RequestRejected, match="token ids of this model"):
        await tokens_of(client.submit(request_of("a", [1, 77])))
    with pytest.raises(ContextLengthExceeded):
        client.submit(request_of("b", [1] * 200))
    with pytest.raises(RequestRejected, match="prompt is empty"):
        client.submit(request_of("c", []))


async def test_an_id_may_be_used_again_only_after_its_request_has_ended(client, fake, request_of):
    async with aclosing(client.submit(request_of("a", [1] * 60, 60))) as outputs:
        await anext(outputs)
    with pytest.raises(RequestRejected, match="in use"):
        client.submit(request_of("a", [2]))
    await until(lambda: client.stats.num_running == 0)
    assert await tokens_of(client.submit(request_of("a", [2], 9))) == fake.generated([2], 9)


async def test_an_id_in_use_is_refused(client, request_of):
    stream = client.submit(request_of("a", [1]))
    with pytest.raises(RequestRejected, match="in use"):
        client.submit(request_of("a", [1]))
    await stream.aclose()


async def test_a_drained_engine_finishes_what_it_has_and_takes_no_more(client, fake, request_of):
    stream = client.submit(request_of("a", [1], 50))
    assert await client.drain(timeout=30)
    assert not client.is_ready
    with pytest.raises(EngineFailed, match="draining"):
        client.submit(request_of("b", [1]))
    assert await tokens_of(stream) == fake.generated([1], 50)


async def test_drain_tells_what_it_could_not_wait_for(client, request_of):
    stream = client.submit(request_of("a", [1], 100))
    assert not await client.drain(timeout=0)
    await stream.aclose()


async def test_closing_fails_what_is_open(client, request_of):
    stream = client.submit(request_of("a", [1], 5000))
    await client.close()
    with pytest.raises(EngineFailed, match="closed"):
        await tokens_of(stream)


async def test_a_killed_engine_fails_its_requests_and_comes_back(fake, request_of):
    async with process() as client:
        first = client.process_id
        streams = [client.submit(request_of(str(i), [i], 100)) for i in range(4)]
        os.kill(first, signal.SIGKILL)
        for result in await asyncio.gather(*map(tokens_of, streams), return_exceptions=True):
            assert isinstance(result, EngineFailed)
            assert result.code == "engine_failed"
        assert not client.is_ready
        with pytest.raises(EngineFailed, match="try again"):
            client.submit(request_of("b", [1]))
        await until(lambda: client.is_ready)
        assert client.process_id != first
        assert await tokens_of(client.submit(request_of("c", [3], 4))) == fake.generated([3], 4)


async def test_a_request_that_kills_the_engine_takes_nothing_down_for_good(fake, request_of):
    async with process() as client:
        with pytest.raises(EngineFailed, match="died"):
            await tokens_of(client.submit(request_of("a", [fake.POISON])))
        await until(lambda: client.is_ready)
        assert len(await tokens_of(client.submit(request_of("b", [1], 4)))) == 4


async def test_what_keeps_an_engine_from_loading_is_told_at_once(request_of):
    client = EngineProcess(EngineConfig(Path("broken.ifx")), loader=LOADER)
    with pytest.raises(EngineFailed, match="segment weights, chunk 3"):
        await client.start()
    assert not client.is_ready
    await client.close()


async def test_ctrl_c_at_the_terminal_leaves_the_engine_to_the_server(fake, request_of):
    async with process() as client:
        os.kill(client.process_id, signal.SIGINT)
        assert await tokens_of(client.submit(request_of("a", [1]))) == fake.generated([1], 4)


async def test_a_stuck_engine_is_killed_after_the_time_of_grace(request_of):
    async with process(grace=0.05) as client:
        os.kill(client.process_id, signal.SIGSTOP)


def worker(*frames: bytes):
    """A worker that was sent ``frames``, and our end of its socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [*WORKER, str(theirs.fileno()), LOADER],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.PIPE,
        )
    ours.sendall(b"".join(frames))
    return child, ours


@pytest.mark.parametrize(
    "frames",
    [
        [LENGTH.pack(3) + b"\xc1\xc1\xc1"],
        [LENGTH.pack(2**32 - 1)],
        [encode(Start(99, CONFIG))],
        [encode(Start(1, CONFIG)), encode(Start(1, CONFIG))],
        [encode(Start(1, CONFIG)), LENGTH.pack(1) + b"\xc1"],
    ],
    ids=["garbage", "too long", "other version", "second start", "garbage later"],
)
def test_a_malformed_frame_ends_the_worker_cleanly(frames):
    child, ours = worker(*frames)
    with ours:
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 1
    assert b"the engine ends: " in errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("frames", [[], [encode(Start(1, CONFIG))]], ids=["unstarted", "idle"])
def test_a_worker_ends_with_its_server(frames):
    child, ours = worker(*frames)
    ours.close()
    _, errors = child.communicate(timeout=30)
    assert (child.returncode, errors) == (0, b"")


def test_a_worker_ends_on_sigterm():
    child, ours = worker(encode(Start(1, CONFIG)))
    with ours:
        ours.recv(1)  # Hello: it is up
        child.terminate()
        child.communicate(timeout=30)
    assert child.returncode == -signal.SIGTERM

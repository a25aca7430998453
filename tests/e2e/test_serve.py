"""A served model, spoken to by clients that know nothing of it but its doors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import openai
import pytest

PROMPT = "once upon a time"
PATIENCE = 30  # seconds until what must happen soon counts as not happening


@pytest.fixture
def server(start_server: Callable[..., Any], talkative: Path) -> Any:
    return start_server(talkative, "--kv-bytes", "16MB")


@pytest.fixture
def reflected(server: Any, reflect: Callable[[str], Any]) -> Any:
    return reflect(server.grpc)


@pytest.fixture
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{server.http}/v1", api_key="none", max_retries=0, timeout=PATIENCE
    ) as made:
        yield made


def until(claim: Callable[[], bool]) -> None:
    """Ask again until the claim holds; each asking goes to the server and takes its time."""
    end = time.monotonic() + PATIENCE
    while not claim():
        assert time.monotonic() < end, "it did not come true"


def test_both_doors_continue_a_prompt_alike(
    client: openai.OpenAI, reflected: Any, server: Any
) -> None:
    over_http = client.completions.create(
        model=server.model, prompt=PROMPT, max_tokens=16, temperature=0
    )
    sampling = {"max_tokens": 16, "temperature": 0.0}
    over_grpc = list(
        reflected.stream("Generate", model=server.model, text=PROMPT, sampling=sampling)
    )
    assert "".join(part.text for part in over_grpc) == over_http.choices[0].text
    assert over_http.choices[0].finish_reason == "length"
    assert over_http.usage is not None
    assert over_http.usage.completion_tokens == over_grpc[-1].usage.completion_tokens == 16


def test_a_streamed_chat_is_the_plain_one_in_pieces(client: openai.OpenAI, server: Any) -> None:
    asked: dict[str, Any] = {
        "model": server.model,
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 12,
        "temperature": 0,
    }
    plain = client.chat.completions.create(**asked)
    pieces = list(client.chat.completions.create(**asked, stream=True))
    streamed = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert streamed == plain.choices[0].message.content
    assert len({piece.id for piece in pieces}) == 1


def test_logprobs_are_of_the_tokens_given(client: openai.OpenAI, server: Any) -> None:
    made = client.completions.create(
        model=server.model, prompt=PROMPT, max_tokens=4, temperature=0, logprobs=3
    )
    logprobs = made.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs is not None
    assert logprobs.top_logprobs is not None
    assert len(logprobs.token_logprobs) == 4
    for own, best in zip(logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert own == pytest.approx(max(best.values()))  # greedy takes the likeliest


def test_sixteen_streams_at_once_all_finish(reflected: Any, server: Any) -> None:
    def one(index: int) -> int:
        sampling = {"max_tokens": 40 + index, "temperature": 1.0, "seed": index}
        fields = {"model": server.model, "text": f"{PROMPT} {index}", "sampling": sampling}
        *_, last = reflected.stream("Generate", **fields)
        return int(last.usage.completion_tokens)

    with ThreadPoolExecutor(16) as streams:
        assert list(streams.map(one, range(16))) == [40 + index for index in range(16)]
    until(lambda: server.metric("inferflux_free_pages") == server.metric("inferflux_total_pages"))


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_a_client_that_leaves_gives_its_pages_back(
    client: openai.OpenAI, reflected: Any, server: Any, door: str
) -> None:
    total = server.metric("inferflux_total_pages")
    if door == "http":
        stream = client.completions.create(
            model=server.model, prompt=PROMPT, max_tokens=4000, stream=True
        )
        next(iter(stream))
        leave = stream.close
    else:
        call = reflected.stream(
            "Generate", model=server.model, text=PROMPT, sampling={"max_tokens": 4000}
        )
        next(call)
        leave = call.cancel
    assert server.metric("inferflux_free_pages") < total
    leave()
    until(lambda: server.metric("inferflux_free_pages") == total)
    assert server.metric("inferflux_output_tokens_total") < 4000


def test_a_prompt_beyond_the_context_is_refused_with_both_lengths(
    client: openai.OpenAI, reflected: Any, server: Any
) -> None:
    with pytest.raises(openai.BadRequestError, match="4096"):
        client.completions.create(model=server.model, prompt=[5] * 5000, max_tokens=1)
    with pytest.raises(grpc.RpcError) as refused:
        list(reflected.stream("Generate", model=server.model, tokens={"ids": [5] * 5000}))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "4096" in refused.value.details()


async def test_the_surplus_of_an_overload_is_refused_at_once_and_the_rest_finishes(
    start_server: Callable[..., Any], talkative: Path
) -> None:
    server = start_server(talkative, "--max-sequences", "4", "--queue", "32", "--kv-bytes", "64MB")
    asked = {"model": server.model, "prompt": PROMPT, "max_tokens": 1000, "temperature": 0}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.http, timeout=240, limits=limits) as client:
        start = time.monotonic()

        async def one() -> tuple[int, float]:
            answer = await client.post("/v1/completions", json=asked)
            return answer.status_code, time.monotonic() - start

        answers = await asyncio.gather(*(one() for _ in range(100)))
    refused = [seconds for status, seconds in answers if status == 429]
    finished = [seconds for status, seconds in answers if status == 200]
    assert len(refused) + len(finished) == 100
    assert len(finished) >= 4 + 32
    assert refused, "100 requests were never more than 36 at once"
    assert max(refused) < max(finished) / 2
    assert server.metric("inferflux_free_pages") == server.metric("inferflux_total_pages")


def test_sigterm_lets_a_running_stream_finish_and_then_ends(
    client: openai.OpenAI, server: Any
) -> None:
    stream = client.completions.create(
        model=server.model, prompt=PROMPT, max_tokens=1500, temperature=0, stream=True
    )
    pieces = iter(stream)
    next(pieces)
    with ThreadPoolExecutor(1) as stopping:
        code = stopping.submit(server.stop)
        reasons = [piece.choices[0].finish_reason for piece in pieces if piece.choices]
        assert reasons[-1] == "length"
        assert code.result(PATIENCE) == 0


def test_a_second_server_on_the_same_port_says_so_in_a_line(
    inferflux: Callable[..., Any], server: Any, talkative: Path
) -> None:
    port = server.http.rpartition(":")[2]
    ran = inferflux("serve", talkative, "--threads", "1", "--http-port", port, "--grpc-port", "0")
    assert ran.returncode == 1
    assert f":{port}" in ran.stderr
    assert "Traceback" not in ran.stderr

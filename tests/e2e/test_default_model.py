"""The default model, served as `make run` serves it, gives right answers to strangers' clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

QUESTION = "The capital of France is"
MESSAGES: Any = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def server(start_server: Callable[..., Any], compiled_default: Callable[..., Path]) -> Any:
    return start_server(compiled_default())


@pytest.fixture
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_both_doors_give_right_answers(
    client: openai.OpenAI, server: Any, reflect: Callable[[str], Any]
) -> None:
    asked: dict[str, Any] = {"model": server.model, "max_tokens": 8, "temperature": 0}
    completed = client.completions.create(**asked, prompt=QUESTION, logprobs=2)
    assert completed.choices[0].text.startswith(" Paris")
    logprobs = completed.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert "".join(logprobs.tokens) == completed.choices[0].text

    pieces = client.completions.create(**asked, prompt=QUESTION, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == completed.choices[0].text

    chatted = client.chat.completions.create(**{**asked, "max_tokens": 60}, messages=MESSAGES)
    assert "scatter" in (chatted.choices[0].message.content or "")

    sampling = {"max_tokens": 8, "temperature": 0.0}
    parts = reflect(server.grpc).stream(
        "Generate", model=server.model, text=QUESTION, sampling=sampling
    )
    assert "".join(part.text for part in parts) == completed.choices[0].text

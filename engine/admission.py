"""What a request must satisfy before the engine will hold it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inferflux.engine.errors import ContextLengthExceeded, RequestRejected
from inferflux.engine.messages import MAX_LOGPROBS, Request, SamplingParams
from inferflux.engine.retention import pages_for

MAX_ID_LENGTH = 256
MAX_STOP_TOKENS = 128
MAX_TEMPERATURE = 100.0
MAX_SEED = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Facts of the loaded model and its pool that bound every request."""

    vocab_size: int
    context_length: int
    capacity: int  # tokens of the longest sequence the KV pool can hold


def admit(request: Request, limits: Limits) -> int:
    """The length at which the request's sequence is full.  Raises what is wrong with it."""
    check_request(request, limits.context_length)
    _check_tokens("prompt", request.prompt, limits.vocab_size)
    _check_tokens("stop_token_ids", request.stop_token_ids, limits.vocab_size)
    max_length = min(len(request.prompt) + request.max_tokens, limits.context_length)
    if max_length > limits.capacity:
        raise RequestRejected(
            f"{len(request.prompt)} prompt tokens and max_tokens {request.max_tokens} need"
            f" {pages_for(max_length)} KV pages, the pool has {pages_for(limits.capacity)}:"
            " ask for fewer tokens or give the engine more kv_bytes"
        )
    return max_length


def check_request(request: Request, context_length: int) -> None:
    """Raise what is wrong with a request on any engine whose model has this context.

    Clients check it too, so that a caller hears at once and no frame grows without bound.
    """
    _check_numbers(request)
    _check_sampling(request.sampling)
    _check_context(request, context_length)


def check_scored(ids: Sequence[int], chunk: int, limits: Limits) -> None:
    """Raise what is wrong with token ids that are to be scored, ``chunk`` of them a step."""
    _check(len(ids) >= 1, "the number of ids", len(ids), "at least 1")
    most = limits.context_length
    _check(len(ids) <= most, "the number of ids", len(ids), f"at most {most}, the model's context")
    _check(chunk >= 1, "chunk", chunk, "at least 1")
    _check_tokens("ids", ids, limits.vocab_size)


def _check_numbers(request: Request) -> None:
    length = len(request.request_id)
    _check(length <= MAX_ID_LENGTH, "the length of request_id", length, f"at most {MAX_ID_LENGTH}")
    if not request.prompt:
        raise RequestRejected("the prompt is empty: give at least one token")
    _check(request.max_tokens >= 0, "max_tokens", request.max_tokens, "at least 0")
    _check(
        len(request.stop_token_ids) <= MAX_STOP_TOKENS,
        "the number of stop_token_ids",
        len(request.stop_token_ids),
        f"at most {MAX_STOP_TOKENS}",
    )
    _check_logprobs("prompt_logprobs", request.prompt_logprobs)
    if request.deadline is not None:
        _check(math.isfinite(request.deadline), "deadline", request.deadline, "a number")


def _check_sampling(sampling: SamplingParams) -> None:
    temperature, top_k, seed = sampling.temperature, sampling.top_k, sampling.seed
    hottest = f"from 0 to {MAX_TEMPERATURE}"
    _check(0 <= temperature <= MAX_TEMPERATURE, "temperature", temperature, hottest)
    _check(top_k is None or top_k >= 1, "top_k", top_k, "at least 1, or absent")
    _check(0 < sampling.top_p <= 1, "top_p", sampling.top_p, "above 0 and at most 1")
    _check(0 <= sampling.min_p <= 1, "min_p", sampling.min_p, "from 0 to 1")
    _check(0 <= seed <= MAX_SEED, "seed", seed, "from 0 to 2**64 - 1")
    _check_logprobs("logprobs", sampling.logprobs)


def _check_context(request: Request, context_length: int) -> None:
    """Raise ContextLengthExceeded unless the prompt, and a token if one is asked, fits."""
    least = len(request.prompt) + min(request.max_tokens, 1)
    if least > context_length:
        raise ContextLengthExceeded(
            f"the prompt has {len(request.prompt)} tokens and the model's context {context_length}:"
            " shorten the prompt"
        )


def _check_logprobs(name: str, count: int | None) -> None:
    _check(count is None or 0 <= count <= MAX_LOGPROBS, name, count, f"from 0 to {MAX_LOGPROBS}")


def _check_tokens(name: str, tokens: Sequence[int], vocab_size: int) -> None:
    if not tokens or (min(tokens) >= 0 and max(tokens) < vocab_size):
        return
    index = next(i for i, token in enumerate(tokens) if not 0 <= token < vocab_size)
    raise RequestRejected(
        f"{name}[{index}] is {tokens[index]}: token ids of this model go from 0 to {vocab_size - 1}"
    )


def _check(claim: bool, name: str, value: object, allowed: str) -> None:
    if not claim:
        raise RequestRejected(f"{name} is {value}: it must be {allowed}")

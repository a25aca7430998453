"""All that crosses between server and engine: requests go down, token outputs come up.

Frames of these are msgpack, typed and versioned; nothing is ever unpickled.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from inferflux.engine.config import EngineConfig
from inferflux.engine.determinism import Determinism

PROTOCOL_VERSION = 1
MAX_LOGPROBS = 20


class FinishReason(StrEnum):
    STOP = "stop"  # a stop token, the last of the tokens (the server's stop strings abort instead)
    LENGTH = "length"  # max_tokens, or the context is full
    ABORT = "abort"  # the client left, or said so
    ERROR = "error"  # the engine could not go on; see TokenOutput.error


class SamplingParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a row of logits becomes a token.  ``temperature`` 0 is greedy; ``top_k`` None is off."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0  # 64 bits; the server draws one where the client named none
    logprobs: int | None = None  # alternatives to report, 0..MAX_LOGPROBS; None: no logprobs


class Request(msgspec.Struct, frozen=True, tag="request", forbid_unknown_fields=True):
    """One prompt and what to do with it.  ``max_tokens`` 0 only scores the prompt."""

    request_id: str
    prompt: list[int]
    max_tokens: int
    sampling: SamplingParams
    stop_token_ids: list[int] = []
    prompt_logprobs: int | None = None  # as sampling.logprobs, for every prompt token but the first
    deadline: float | None = None  # seconds since the epoch; past it the request is aborted
    determinism: Determinism = Determinism.DEFAULT


class Abort(msgspec.Struct, frozen=True, tag="abort", forbid_unknown_fields=True):
    request_id: str


class Command(msgspec.Struct, frozen=True, tag="command", forbid_unknown_fields=True):
    """``drain``: refuse new requests, finish the open ones.  ``shutdown``: stop now."""

    name: Literal["drain", "shutdown"]


class Start(msgspec.Struct, frozen=True, tag="start", forbid_unknown_fields=True):
    """The server's first frame: what to load."""

    protocol: int
    config: EngineConfig


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """Log-probability of the token that stands there, and of the best alternatives, best first."""

    token: int
    logprob: float
    top_tokens: list[int] = []
    top_logprobs: list[float] = []


class TokenOutput(msgspec.Struct, frozen=True, tag="tokens", forbid_unknown_fields=True):
    """What one step settled for one request; ``tokens`` may be empty, the last has a reason."""

    request_id: str
    tokens: list[int]
    logprobs: list[TokenLogprobs] | None = None  # one per token
    prompt_logprobs: list[TokenLogprobs] | None = None  # as the prompt's chunks are computed
    finish_reason: FinishReason | None = None
    error: str | None = None  # with FinishReason.ERROR: what happened
    error_code: str | None = None


class EngineStats(msgspec.Struct, frozen=True, tag="stats", forbid_unknown_fields=True):
    """The engine's gauges after a step."""

    num_running: int
    num_waiting: int
    free_pages: int
    total_pages: int
    num_steps: int = 0


class StepFrame(msgspec.Struct, frozen=True, tag="step", forbid_unknown_fields=True):
    """Everything one step settled, for all sequences, with the gauges after it."""

    outputs: list[TokenOutput]
    stats: EngineStats


class Hello(msgspec.Struct, frozen=True, tag="hello", forbid_unknown_fields=True):
    """The engine's first frame, once it has loaded and warmed the model."""

    protocol: int
    artifact_digest: str
    target: str
    context_length: int
    max_sequences: int
    stats: EngineStats
    determinism: Determinism = Determinism.DEFAULT  # of a request that does not ask for more


class Failure(msgspec.Struct, frozen=True, tag="failure", forbid_unknown_fields=True):
    """The engine's last frame, where it can still say why it ends."""

    code: str
    message: str


Downward = Start | Request | Abort | Command
Upward = Hello | StepFrame | Failure

"""Metrics and the one log line of a request; neither ever holds a prompt, an output or a secret."""

from __future__ import annotations

import logging
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from inferflux.errors import InferFluxError
from inferflux.server import errors
from inferflux.server.counts import Counts

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RequestRecord:
    """What is known of one request, filled in as it is answered."""

    route: str
    log_level: int = logging.INFO
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.perf_counter)
    code: str = "ok"
    prompt_tokens: int = 0
    output_tokens: int = 0
    first_token: float | None = None
    last_token: float | None = None

    def failed(self, error: Exception) -> None:
        """The request ends with an error; one that nobody foresaw leaves a trace in the log.

        The trace has no message: an error's text may quote what the client sent.
        """
        self.code = errors.code(error)
        if self.code == InferFluxError.code:
            trace = "".join(traceback.format_tb(error.__traceback__))
            log.error("request %s failed: %s\n%s", self.request_id, type(error).__name__, trace)

    def wrote(self, num_tokens: int) -> None:
        """So many tokens of output were just settled."""
        if not num_tokens:
            return
        self.last_token = time.perf_counter()
        self.first_token = self.first_token or self.last_token
        self.output_tokens += num_tokens

    @property
    def ttft(self) -> float | None:
        return None if self.first_token is None else self.first_token - self.started

    @property
    def tpot(self) -> float | None:
        """Seconds per output token after the first."""
        if self.first_token is None or self.last_token is None or self.output_tokens < 2:
            return None
        return (self.last_token - self.first_token) / (self.output_tokens - 1)


class Telemetry:
    """What one server counts and logs of its requests."""

    def __init__(self) -> None:
        self.counts = Counts()

    @contextmanager
    def request(self, route: str, log_level: int = logging.INFO) -> Iterator[RequestRecord]:
        """Count, time and log one request."""
        record = RequestRecord(route, log_level)
        self.counts.in_flight += 1
        try:
            yield record
        finally:
            self.counts.in_flight -= 1
            self._count(record)
            _log(record)

    def _count(self, record: RequestRecord) -> None:
        counts = self.counts
        counts.requests[record.route, record.code] += 1
        counts.prompt_tokens += record.prompt_tokens
        counts.output_tokens += record.output_tokens
        if record.ttft is not None:
            counts.ttft.observe(record.ttft)
        if record.tpot is not None:
            counts.tpot.observe(record.tpot)


def _log(record: RequestRecord) -> None:
    log.log(
        record.log_level,
        "request %s route=%s code=%s prompt_tokens=%d output_tokens=%d seconds=%.3f",
        record.request_id,
        record.route,
        record.code,
        record.prompt_tokens,
        record.output_tokens,
        time.perf_counter() - record.started,
    )

"""Metrics and the one log line of a request; neither ever holds a prompt, an output or a secret."""

from __future__ import annotations

import logging
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from inferflux.engine.messages import EngineStats
from inferflux.errors import InferFluxError
from inferflux.server import errors

log = logging.getLogger(__name__)

_TTFT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TPOT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


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
    """The server's metrics, in a registry of their own."""

    def __init__(self, stats: Callable[[], EngineStats]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "inferflux_requests",
            "Requests answered, by route and code.",
            ("route", "code"),
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "inferflux_requests_in_flight", "Requests being answered.", registry=self.registry
        )
        self._prompt_tokens = Counter(
            "inferflux_prompt_tokens", "Prompt tokens read.", registry=self.registry
        )
        self._output_tokens = Counter(
            "inferflux_output_tokens", "Output tokens written.", registry=self.registry
        )
        self._ttft = Histogram(
            "inferflux_ttft_seconds",
            "Time from a request's arrival to its first output token.",
            buckets=_TTFT_BUCKETS,
            registry=self.registry,
        )
        self._tpot = Histogram(
            "inferflux_tpot_seconds",
            "Time per output token after the first, over one request.",
            buckets=_TPOT_BUCKETS,
            registry=self.registry,
        )
        self._add_engine_gauges(stats)

    def _add_engine_gauges(self, stats: Callable[[], EngineStats]) -> None:
        """Gauges the engine sends after each step, read when the metrics are."""
        for name, text, read in (
            ("running", "Sequences in the running batch.", lambda: stats().num_running),
            ("queue_length", "Requests waiting for the batch.", lambda: stats().num_waiting),
            ("free_pages", "KV pages free.", lambda: stats().free_pages),
            ("total_pages", "KV pages in all.", lambda: stats().total_pages),
        ):
            Gauge(f"inferflux_{name}", text, registry=self.registry).set_function(read)

    @contextmanager
    def request(self, route: str, log_level: int = logging.INFO) -> Iterator[RequestRecord]:
        """Count, time and log one request."""
        record = RequestRecord(route, log_level)
        with self._in_flight.track_inprogress():
            try:
                yield record
            finally:
                self._close(record)

    def _close(self, record: RequestRecord) -> None:
        self._requests.labels(record.route, record.code).inc()
        self._prompt_tokens.inc(record.prompt_tokens)
        self._output_tokens.inc(record.output_tokens)
        if record.ttft is not None:
            self._ttft.observe(record.ttft)
        if record.tpot is not None:
            self._tpot.observe(record.tpot)
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

    def exposition(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self.registry)

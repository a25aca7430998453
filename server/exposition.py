"""A server's counts and its engine's gauges in Prometheus' text format.

Imported when metrics are asked for first: no start waits for Prometheus' client.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from inferflux.engine.messages import EngineStats
from inferflux.server.counts import Counts, Histogram

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def exposition(counts: Counts, stats: EngineStats) -> bytes:
    """All metrics as they are now."""
    registry = CollectorRegistry()
    registry.register(_Collected(counts, stats))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, counts: Counts, stats: EngineStats) -> None:
        self._counts = counts
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        yield from _counters(self._counts)
        yield from _gauges(self._counts, self._stats)
        yield _histogram(
            "inferflux_ttft_seconds",
            "Time from a request's arrival to its first output token.",
            self._counts.ttft,
        )
        yield _histogram(
            "inferflux_tpot_seconds",
            "Time per output token after the first, over one request.",
            self._counts.tpot,
        )


def _counters(counts: Counts) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "inferflux_requests", "Requests answered, by route and code.", labels=("route", "code")
    )
    for labels, count in counts.requests.items():
        requests.add_metric(labels, count)
    yield requests
    for name, text, count in (
        ("prompt_tokens", "Prompt tokens read.", counts.prompt_tokens),
        ("output_tokens", "Output tokens written.", counts.output_tokens),
    ):
        yield CounterMetricFamily(f"inferflux_{name}", text, count)


def _gauges(counts: Counts, stats: EngineStats) -> Iterator[Metric]:
    """The engine's are as of its latest step."""
    for name, text, value in (
        ("requests_in_flight", "Requests being answered.", counts.in_flight),
        ("running", "Sequences in the running batch.", stats.num_running),
        ("queue_length", "Requests waiting for the batch.", stats.num_waiting),
        ("free_pages", "KV pages free.", stats.free_pages),
        ("total_pages", "KV pages in all.", stats.total_pages),
    ):
        yield GaugeMetricFamily(f"inferflux_{name}", text, value)


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    """Prometheus' buckets hold all that is below, too."""
    bounds = [*map(str, histogram.bounds), "+Inf"]
    buckets = [*zip(bounds, accumulate(histogram.counts), strict=True)]
    return HistogramMetricFamily(name, text, buckets, histogram.sum)

"""Measuring a subject as it is served: by a server of our own, or by one that runs already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inferflux.bench.offline import Subject
from inferflux.bench.serving.run import (
    OnProgress,
    ServingBench,
    ServingResults,
    ServingWorkload,
    run_serving,
)
from inferflux.bench.serving.server import Addresses, running_server
from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.engine.config import EngineConfig

_MAX_SEQUENCES, _MAX_WAITING, _CHUNK_TOKENS = 32, 128, 256  # `inferflux serve` as it comes


def measure_serving(
    subject: Subject,
    workload: ServingWorkload,
    url: str | None,
    offline: Mapping[str, float],
    on_progress: OnProgress,
    keep: Callable[[ServingResults], None],
) -> None:
    """Put the workload on a server.  ``offline`` are our medians by key, tok/s."""
    config = served_engine(subject, workload)
    vocab_size = subject.artifact.model.facts.vocab_size
    bench = ServingBench(workload, vocab_size, config.chunk_tokens, offline, on_progress, keep)
    if url is not None:
        run_serving(bench, Addresses.parse(url))
        return
    with running_server(config) as addresses:
        run_serving(bench, addresses)


def served_engine(subject: Subject, workload: ServingWorkload) -> EngineConfig:
    """An engine as the server's user would get it, with room for the workload."""
    sequences = max(_MAX_SEQUENCES, workload.most_at_once)
    chunk_tokens = max(_CHUNK_TOKENS, 2 * sequences)
    longest = workload.prompt_tokens + workload.output_tokens
    streams = (d.streams * _pages(d.longest(chunk_tokens)) for d in workload.streams)
    pages = max((sequences * _pages(longest), *streams))
    return EngineConfig(
        artifact=subject.path,
        num_workers=subject.threads,
        kv_bytes=pages * subject.page_bytes,
        max_sequences=sequences,
        max_waiting=_MAX_WAITING,
        chunk_tokens=chunk_tokens,
        determinism=subject.determinism,
    )


def _pages(num_tokens: int) -> int:
    """Whole pages of a sequence, and one to spare."""
    return -(-num_tokens // PAGE_SIZE) + 1

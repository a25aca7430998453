"""Measuring an artifact: an engine of the right size in this process, and the protocol on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inferflux import engine
from inferflux.bench.machine import this_machine, usable_cores
from inferflux.bench.protocol import Bench, Workload
from inferflux.bench.result import BenchResult
from inferflux.codegen import artifact
from inferflux.codegen.artifact.compiled import PAGE_SIZE, CompiledTarget
from inferflux.engine.config import EngineConfig

_CHUNK_TOKENS = 512  # the longest prompt of the protocol in one step, as the yardsticks batch it


def measure(
    path: Path, workload: Workload, threads: int | None, on_key: Callable[[str], None]
) -> BenchResult:
    """Run ``workload`` on the artifact at ``path`` with ``threads`` workers."""
    threads = threads or usable_cores()
    peeked = artifact.peek(path)
    compiled = artifact.require_target(peeked, None, artifact.machine_features())
    chunk_tokens = min(_CHUNK_TOKENS, compiled.step.max_step_tokens)
    config = EngineConfig(
        artifact=path,
        target=compiled.name,
        num_workers=threads,
        kv_bytes=_kv_bytes(compiled, workload.kv_tokens(chunk_tokens), workload),
        max_sequences=max(workload.streams, default=1),
        max_waiting=max(workload.streams, default=1),
        chunk_tokens=chunk_tokens,
    )
    bench = Bench(engine.load(config), peeked.model.facts.vocab_size, chunk_tokens)
    return BenchResult(
        speeds=bench.measure(workload, on_key),
        workload=workload,
        model=peeked.model.facts.name,
        target=compiled.name,
        numerics=compiled.numerics,
        threads=threads,
        machine=this_machine(),
    )


def _kv_bytes(target: CompiledTarget, num_tokens: int, workload: Workload) -> int:
    """Room for the largest measure: every stream rounds up to whole pages, and one to spare."""
    pages = num_tokens // PAGE_SIZE + 2 * max(workload.streams, default=1) + 1
    return pages * sum(group.page_bytes for group in target.kv_groups)

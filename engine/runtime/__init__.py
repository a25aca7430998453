"""Runtimes, chosen by the device before the colon in a target's name.

Each is imported when it is first asked for: a machine has the libraries of its own devices only.
"""

from __future__ import annotations

from collections.abc import Callable

from inferflux.codegen.artifact.compiled import Bytes, CompiledTarget, ModelFacts
from inferflux.engine.step import Runner
from inferflux.errors import InferFluxError


class NoRuntime(InferFluxError):
    """A target is for a device this version cannot run."""

    code = "no_runtime"


def make_runner(
    facts: ModelFacts,
    target: CompiledTarget,
    weights: Bytes,
    *,
    num_workers: int,
    num_pages: tuple[int, ...],
    max_sequences: int,
    max_logit_rows: int,
) -> Runner:
    """A runner for one target of an artifact, with room for ``num_pages`` per KV group."""
    device = target.name.partition(":")[0]
    if device not in _RUNTIMES:
        raise NoRuntime(f"target {target.name}: no runtime for {device}, only {[*_RUNTIMES]}")
    return _RUNTIMES[device]()(
        facts,
        target,
        weights,
        num_workers=num_workers,
        num_pages=num_pages,
        max_sequences=max_sequences,
        max_logit_rows=max_logit_rows,
    )


def _cpu() -> Callable[..., Runner]:
    from inferflux.engine.runtime.cpu import CpuRunner

    return CpuRunner


_RUNTIMES = {"cpu": _cpu}

"""One compiled step function by itself, with threads of its own: what the tuner times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from inferflux.codegen.artifact.compiled import CpuStep
from inferflux.engine.runtime.arguments import StepArguments
from inferflux.engine.runtime.cpu import load_module
from inferflux.engine.runtime.pool import WorkerPool
from inferflux.engine.step import Array


def single_step(
    code: bytes,
    step: CpuStep,
    buffers: Mapping[str, Array],
    scalars: Sequence[int],
    num_workers: int,
) -> Callable[[], None]:
    """Link object code; the function it gives runs the step's only variant, always on the same.

    ``buffers`` are by name, as the step calls them; ``scalars`` lack the worker's number.
    """
    module = load_module((code,))
    (variant,) = step.variants
    function = module[variant.symbol]
    pool = WorkerPool(module, StepArguments(step, buffers, num_workers), num_workers)
    return lambda: pool.run(function, scalars, num_workers)

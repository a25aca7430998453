"""The CPU runtime: loads a compiled step from verified bytes and calls it.  Needs no compiler."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inferflux.codegen.artifact import machine_features
from inferflux.codegen.artifact.compiled import (
    Bytes,
    CompiledTarget,
    CpuStep,
    KVGroup,
    ModelFacts,
    StepVariant,
)
from inferflux.engine.determinism import Determinism
from inferflux.engine.runtime.arguments import StepArguments
from inferflux.engine.runtime.buffers import StepBuffers, allocate
from inferflux.engine.runtime.pool import WorkerPool
from inferflux.engine.runtime.tiles import request_tiles
from inferflux.engine.runtime.worker_count import WorkerCount
from inferflux.engine.step import StepInputs, StepOutputs
from inferflux.errors import MissingPackages

_RUNTIME_LIBRARY = "tvm/lib/libtvm_runtime.so"
_NO_COMPILER = os.devnull  # the loader would run one from PATH, to ask it for its libstdc++
_OF_RUNTIME = b"__TVMBackend"  # how its functions are called in object code


class CpuRunner:
    """One compiled target of an artifact with its KV pages and scratch, on this machine."""

    def __init__(
        self,
        facts: ModelFacts,
        target: CompiledTarget,
        weights: Bytes,
        *,
        num_workers: int,
        num_pages: tuple[int, ...],
        max_sequences: int,
        max_logit_rows: int,
    ) -> None:
        self._target = target
        self._max_logit_rows = max_logit_rows
        most_workers = min(num_workers, target.step.max_workers)
        self._worker_counts = {
            variant.arithmetic: WorkerCount(most_workers) for variant in target.step.variants
        }
        self._buffers: StepBuffers = allocate(
            target,
            facts,
            weights,
            num_pages=num_pages,
            max_sequences=max_sequences,
            max_logit_rows=max_logit_rows,
        )
        if "amx_tile" in target.features:
            request_tiles()
        code = load_module(_objects_for(target))
        self._functions = {variant: code[variant.symbol] for variant in target.step.variants}
        arguments = StepArguments(target.step, self._buffers.arrays, most_workers)
        self._pool = WorkerPool(code, arguments, most_workers)

    @property
    def kv_groups(self) -> tuple[KVGroup, ...]:
        return self._target.kv_groups

    @property
    def vocab_size(self) -> int:
        return self._buffers.vocab_size

    @property
    def max_step_tokens(self) -> int:
        return self._target.step.max_step_tokens

    @property
    def max_logit_rows(self) -> int:
        return self._max_logit_rows

    def forward(self, inputs: StepInputs) -> StepOutputs:
        """Run one step, in the best variant for so many tokens that its determinism allows."""
        num_tokens, num_rows = len(inputs.tokens), len(inputs.logit_rows)
        assert 0 < num_tokens <= self.max_step_tokens, f"a step of {num_tokens} tokens"
        assert num_rows <= self._max_logit_rows, f"{num_rows} rows of logits"
        spans = self._buffers.write(inputs)
        variant = best_variant(self._target.step, num_tokens, inputs.determinism)
        worker_count = self._worker_counts[variant.arithmetic]
        max_pages = inputs.page_tables[0].shape[1]
        num_workers = worker_count.choose(num_tokens, num_rows)
        started = time.perf_counter()
        scalars = (num_tokens, num_rows, max_pages, len(spans.items), len(spans.merges))
        self._pool.run(self._functions[variant], scalars, num_workers)
        worker_count.record(num_tokens, num_rows, time.perf_counter() - started)
        return self._buffers.read(num_rows, inputs.wants_logits)


def best_variant(step: CpuStep, num_tokens: int, determinism: Determinism) -> StepVariant:
    """The last that takes so many tokens; of the arithmetic for all steps, if one must serve."""
    return next(
        variant
        for variant in reversed(step.variants)
        if variant.min_tokens <= num_tokens <= variant.max_tokens
        and (determinism is Determinism.DEFAULT or variant.arithmetic == step.arithmetic)
    )


def _objects_for(target: CompiledTarget) -> tuple[bytes, ...]:
    here = machine_features()
    return next(codes for machine, codes in target.objects.items() if machine in here)


@contextlib.contextmanager
def _torch_hidden() -> Iterator[None]:
    """tvm_ffi imports torch first wherever it is installed: a second and 200 MB for nothing."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        yield
    finally:
        del sys.modules["torch"]


def load_module(objects: Sequence[bytes]) -> Mapping[str, Any]:
    """Link verified object code into this process: no file, no linker, no PATH."""
    try:
        with _torch_hidden():
            import tvm_ffi_orcjit
        if any(
            _OF_RUNTIME in code for code in objects
        ):  # a kernel with a buffer that is too large for the stack
            runtime = importlib.metadata.distribution("apache-tvm").locate_file(_RUNTIME_LIBRARY)
            ctypes.CDLL(str(runtime), ctypes.RTLD_GLOBAL)  # never imported: that takes 0.7 s
    except ImportError as error:  # a distribution that is not there is one, too
        raise MissingPackages("running on a CPU", str(error.name), "cpu") from error
    session = tvm_ffi_orcjit.default_session()
    module: Mapping[str, Any] = session.load_module(objects, cxx=_NO_COMPILER)
    return module

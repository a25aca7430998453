"""The CPU runtime: loads a compiled step from verified bytes and calls it.  Needs no compiler."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from inferflux.codegen.artifact import Artifact, machine_features
from inferflux.codegen.artifact.compiled import CompiledTarget, KVGroup
from inferflux.engine.runtime.buffers import StepBuffers, allocate
from inferflux.engine.step import Array, StepInputs, StepOutputs
from inferflux.errors import MissingPackages

_RUNTIME_LIBRARY = "tvm/lib/libtvm_runtime.so"
SCALARS = ("num_tokens", "num_rows", "max_pages", "num_workers")  # the step's last arguments


class CpuRunner:
    """One compiled target of an artifact with its KV pages and scratch, on this machine."""

    def __init__(
        self,
        artifact: Artifact,
        target: CompiledTarget,
        *,
        num_workers: int,
        num_pages: tuple[int, ...],
        max_sequences: int,
        max_logit_rows: int,
    ) -> None:
        self._target = target
        self._max_logit_rows = max_logit_rows
        self._num_workers = min(num_workers, target.step.max_workers)
        self._buffers: StepBuffers = allocate(
            target,
            artifact.model.facts,
            artifact.model.weights[target.weights],
            num_pages=num_pages,
            max_sequences=max_sequences,
            max_logit_rows=max_logit_rows,
        )
        _size_pool(self._num_workers)
        self._steps = tuple(
            (variant.max_tokens, _load_module(code)[variant.symbol])
            for variant, code in zip(target.step.variants, _objects_for(target), strict=True)
        )
        names = target.step.arguments
        assert names[-len(SCALARS) :] == SCALARS, f"the step takes {names[-len(SCALARS) :]} last"
        self._tensors = [_tensor(self._buffers.arrays[name]) for name in names[: -len(SCALARS)]]

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
        """Run one step: the smallest variant that takes so many tokens, on all workers."""
        num_tokens, num_rows = len(inputs.tokens), len(inputs.logit_rows)
        assert 0 < num_tokens <= self.max_step_tokens, f"a step of {num_tokens} tokens"
        assert num_rows <= self._max_logit_rows, f"{num_rows} rows of logits"
        self._buffers.write(inputs)
        step = next(step for limit, step in self._steps if num_tokens <= limit)
        max_pages = inputs.page_tables[0].shape[1]
        step(*self._tensors, num_tokens, num_rows, max_pages, self._num_workers)
        return self._buffers.read(num_rows, inputs.wants_logits)


def _objects_for(target: CompiledTarget) -> tuple[bytes, ...]:
    here = machine_features()
    return next(codes for machine, codes in target.objects.items() if machine in here)


def _tensor(array: Array) -> Any:
    import tvm_ffi

    return tvm_ffi.from_dlpack(array if array.flags.writeable else _unguarded(array))


def _unguarded(array: Array) -> Array:
    """The same read-only memory without NumPy's mark, which DLPack cannot pass on.

    The compiled step only reads weights; their pages are mapped read-only all the same.
    """
    address = (ctypes.c_uint8 * array.nbytes).from_address(array.ctypes.data)
    return np.ctypeslib.as_array(address)


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


def _size_pool(num_workers: int) -> None:
    """Tell TVM's thread pool, which reads this when it starts, with the process's first launch.

    Left alone it takes half of the processors for hyperthreads, and binds its threads: a bound one
    waits for its core even where another is free.
    """
    os.environ["TVM_NUM_THREADS"] = str(num_workers)
    os.environ["TVM_BIND_THREADS"] = "0"


def _load_module(code: bytes) -> Mapping[str, Any]:
    """Link verified object code into this process: no file, no linker, no PATH."""
    try:
        with _torch_hidden():
            import tvm_ffi_orcjit
        runtime = importlib.metadata.distribution("apache-tvm").locate_file(_RUNTIME_LIBRARY)
    except ImportError as error:  # a distribution that is not there is one, too
        raise MissingPackages("running on a CPU", str(error.name), "cpu") from error
    ctypes.CDLL(str(runtime), ctypes.RTLD_GLOBAL)  # found, never imported: that takes 0.7 s
    module: Mapping[str, Any] = tvm_ffi_orcjit.default_session().load_module(code)
    return module

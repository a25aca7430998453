"""The CPU runtime: loads a compiled step from verified bytes and calls it.  Needs no compiler."""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np

from inferflux.codegen.artifact.compiled import CompiledTarget, KVGroup
from inferflux.codegen.artifact.machine import machine_features
from inferflux.codegen.artifact.reader import Artifact
from inferflux.engine.messages import MAX_LOGPROBS
from inferflux.engine.step import Array, StepInputs, StepOutputs

ALIGNMENT = 64  # bytes: the compiled code is told so
ROW_PADDING = 16  # a block of rows reads positions past the last token


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
        model = artifact.model
        self._target = target
        self._vocab_size = model.facts.vocab_size
        self._max_logit_rows = max_logit_rows
        self._max_pages = -(-model.facts.context_length // 16)
        self._num_workers = num_workers
        self._buffers = self._allocate(
            model.weights[target.weights], num_pages, max_sequences, model.facts.context_length
        )
        objects = _objects_for(target, machine_features())
        self._steps = [
            (variant.max_tokens, _load_module(code)[variant.symbol])
            for variant, code in zip(target.step.variants, objects, strict=True)
        ]
        scalars = {"num_tokens", "num_rows", "max_pages", "num_workers"}
        self._arguments = [
            self._buffers[name] for name in target.step.arguments if name not in scalars
        ]
        self._tensors = [_tensor(buffer) for buffer in self._arguments]

    @property
    def kv_groups(self) -> tuple[KVGroup, ...]:
        return self._target.kv_groups

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    @property
    def max_step_tokens(self) -> int:
        return self._target.step.max_step_tokens

    @property
    def max_logit_rows(self) -> int:
        return self._max_logit_rows

    def forward(self, inputs: StepInputs) -> StepOutputs:
        """Run one step.  The outputs are copies: the next step may overwrite what it computed."""
        num_tokens, num_rows = len(inputs.tokens), len(inputs.logit_rows)
        assert 0 < num_tokens <= self.max_step_tokens, f"a step of {num_tokens} tokens"
        assert num_rows <= self._max_logit_rows, f"{num_rows} rows of logits"
        self._write(inputs, num_tokens, num_rows)
        step = next(step for limit, step in self._steps if num_tokens <= limit)
        max_pages = inputs.page_tables[0].shape[1]
        step(*self._tensors, num_tokens, num_rows, max_pages, self._num_workers)
        return self._read(num_rows, inputs.wants_logits)

    def _write(self, inputs: StepInputs, num_tokens: int, num_rows: int) -> None:
        buffers, sampling = self._buffers, inputs.sampling
        buffers["sync"].fill(0)
        buffers["tokens"][:num_tokens] = inputs.tokens
        buffers["positions"][:num_tokens] = inputs.positions
        lengths = np.diff(inputs.sequence_starts)
        buffers["sequences"][:num_tokens] = np.repeat(np.arange(len(lengths)), lengths)
        for group, (slots, pages) in enumerate(
            zip(inputs.slot_mapping, inputs.page_tables, strict=True)
        ):
            buffers[f"slots_{group}"][:num_tokens] = slots
            buffers[f"pages_{group}"][: pages.size] = pages.reshape(-1)
        if not num_rows:
            return
        buffers["rows"][:num_rows] = inputs.logit_rows
        buffers["seeds"][: 2 * num_rows] = sampling.seed.view(np.int32)
        for name in ("temperature", "top_k", "top_p", "min_p", "forced", "num_logprobs"):
            buffers[name][:num_rows] = getattr(sampling, name)

    def _read(self, num_rows: int, wants_logits: bool) -> StepOutputs:
        buffers, best = self._buffers, num_rows * MAX_LOGPROBS
        logits = None
        if wants_logits:
            padded = -(-self._vocab_size // 16) * 16
            rows = buffers["logits"][: num_rows * padded].reshape(num_rows, padded)
            logits = rows[:, : self._vocab_size].copy()
        return StepOutputs(
            tokens=buffers["out_tokens"][:num_rows].copy(),
            logprobs=buffers["out_logprobs"][:num_rows].copy(),
            top_tokens=buffers["top_tokens"][:best].reshape(num_rows, MAX_LOGPROBS).copy(),
            top_logprobs=buffers["top_logprobs"][:best].reshape(num_rows, MAX_LOGPROBS).copy(),
            logits=logits,
        )

    def _allocate(
        self, weights: Array, num_pages: tuple[int, ...], max_sequences: int, context_length: int
    ) -> dict[str, Array]:
        step = self._target.step
        tokens, rows = step.max_step_tokens + ROW_PADDING, self._max_logit_rows
        table = max_sequences * self._max_pages
        sizes: dict[str, tuple[int, type]] = {
            "scratch_f32": (step.scratch_f32, np.float32),
            "scratch_i8": (step.scratch_i8, np.int8),
            "scratch_i32": (step.scratch_i32, np.int32),
            "sync": (step.sync, np.int32),
            "tokens": (tokens, np.int32),
            "positions": (tokens, np.int32),
            "sequences": (tokens, np.int32),
            "rows": (rows, np.int32),
            "temperature": (rows, np.float32),
            "top_p": (rows, np.float32),
            "min_p": (rows, np.float32),
            "top_k": (rows, np.int32),
            "forced": (rows, np.int32),
            "num_logprobs": (rows, np.int32),
            "seeds": (2 * rows, np.int32),
            "out_tokens": (rows, np.int32),
            "out_logprobs": (rows, np.float32),
            "top_tokens": (rows * MAX_LOGPROBS, np.int32),
            "top_logprobs": (rows * MAX_LOGPROBS, np.float32),
            "logits": ((rows + ROW_PADDING) * (-(-self._vocab_size // 16) * 16), np.float32),
        }
        buffers = {name: _zeros(size, dtype) for name, (size, dtype) in sizes.items()}
        buffers["weights"] = weights
        for group, (facts, pages) in enumerate(zip(self.kv_groups, num_pages, strict=True)):
            buffers[f"slots_{group}"] = _zeros(tokens, np.int32)
            buffers[f"pages_{group}"] = _zeros(table, np.int32)
            for stream in facts.streams:
                elements = pages * int(np.prod(stream.shape))
                buffers[f"{stream.name}_{group}"] = _zeros(elements, np.dtype(stream.dtype).type)
        return buffers


def _objects_for(target: CompiledTarget, features: Set[str]) -> tuple[bytes, ...]:
    return next(codes for machine, codes in target.objects.items() if machine in features)


def _zeros(size: int, dtype: type) -> Array:
    """Aligned zeros; pages of memory are not touched before they are used."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(size * itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * itemsize].view(dtype)


def _tensor(buffer: Array) -> Any:
    import tvm_ffi

    return tvm_ffi.from_dlpack(buffer if buffer.flags.writeable else _unguarded(buffer))


def _unguarded(buffer: Array) -> Array:
    """The same read-only memory without NumPy's mark, which DLPack cannot pass on.

    The compiled step only reads weights; the pages are mapped read-only all the same.
    """
    address = (ctypes.c_uint8 * buffer.nbytes).from_address(buffer.ctypes.data)
    return np.ctypeslib.as_array(address)


def _load_module(code: bytes) -> Mapping[str, Any]:
    """Link verified object code into this process: no file, no linker, no PATH."""
    os.environ.setdefault("TVM_BIND_THREADS", "0")  # a bound worker loses its core to a neighbour
    import tvm_ffi_orcjit

    tvm = importlib.util.find_spec("tvm")
    assert tvm is not None, "apache-tvm is installed with inferflux[cpu]"
    assert tvm.origin is not None
    ctypes.CDLL(str(Path(tvm.origin).parent / "lib" / "libtvm_runtime.so"), ctypes.RTLD_GLOBAL)
    module: Mapping[str, Any] = tvm_ffi_orcjit.default_session().load_module(code)
    return module

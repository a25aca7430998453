"""A step's arguments in TVM's calling convention, for every worker, in every region."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferflux.codegen.artifact.compiled import CpuStep
from inferflux.engine.runtime.memory import zeros
from inferflux.engine.step import Array

# A step's last arguments.
SCALARS = ("num_tokens", "num_rows", "max_pages", "num_items", "num_merges", "worker")
_ARGUMENT = np.dtype([("kind", "i4"), ("padding", "i4"), ("value", "u8")])
_INTEGER, _TENSOR = 1, 70  # kinds


class StepArguments:
    """Buffers, then scalars, of which the last is the worker's number.

    A region is what one step has for itself: its scalars, and the counters of its phases, the
    buffer ``sync``.  There are as many regions as workers.
    """

    def __init__(self, step: CpuStep, arrays: Mapping[str, Array], num_workers: int) -> None:
        names, scalars = step.arguments[: -len(SCALARS)], step.arguments[-len(SCALARS) :]
        assert scalars == SCALARS, f"the step takes {scalars} last"
        self._counters = [zeros(step.sync, "int32") for _ in range(num_workers)]
        self._frames = np.zeros((num_workers, num_workers, len(step.arguments)), _ARGUMENT)
        self._frames["kind"] = _INTEGER
        self._frames["kind"][:, :, : len(names)] = _TENSOR
        self._held = [arrays]  # the frames hold addresses only
        shared = {name: _tensor(arrays[name]) for name in names if name != "sync"}
        for region, counters in enumerate(self._counters):
            tensors = {**shared, "sync": _tensor(counters)}
            addresses = [tensors[name].__chandle__() for name in names]
            self._frames["value"][region, :, : len(names)] = addresses
            self._held.append(tensors)
        self._scalars = self._frames["value"][:, :, len(names) : -1]
        self._frames["value"][:, :, -1] = range(num_workers)

    @property
    def num_arguments(self) -> int:
        return self._frames.shape[2]

    @property
    def worker_bytes(self) -> int:
        """From one worker's arguments to the next one's."""
        return self._frames.strides[1]

    def address(self, region: int) -> int:
        """Of worker 0's arguments."""
        return int(self._frames[region].ctypes.data)

    def prepare(self, region: int, scalars: Sequence[int]) -> None:
        """Make a region that nobody is in ready for its next step."""
        self._counters[region].fill(0)
        self._scalars[region] = scalars


def _tensor(array: Array) -> Any:
    import tvm_ffi

    return tvm_ffi.from_dlpack(array if array.flags.writeable else _unguarded(array))


def _unguarded(array: Array) -> Array:
    """The same read-only memory without NumPy's mark, which DLPack cannot pass on.

    The compiled step only reads weights; their pages are mapped read-only all the same.
    """
    address = (ctypes.c_uint8 * array.nbytes).from_address(array.ctypes.data)
    return np.ctypeslib.as_array(address)

"""The threads that run a model's steps, and the memory through which they agree on one.

The compiled code (codegen/pool.ll.j2) leads steps, helps in them and sleeps between them.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from inferflux.engine.runtime.arguments import StepArguments
from inferflux.engine.runtime.memory import zeros

# As pool.ll.j2 reads them: a cache line each, so that threads do not slow each other down.
_BOARD = np.dtype(
    {
        "names": ["turn", "ended", "region", "invited", "helpers", "regions"],
        "formats": ["i4", "i4", "i4", "i4", "u8", "u8"],
        "itemsize": 64,
    }
)
_REGION = np.dtype(
    {
        "names": ["inside", "num_arguments", "step", "arguments", "worker_bytes"],
        "formats": ["i4", "i4", "u8", "u8", "u8"],
        "itemsize": 64,
    }
)
_HELPER = np.dtype({"names": ["asleep"], "formats": ["i4"], "itemsize": 64})  # and its semaphore

_JOIN_SECONDS = 5.0  # a helper ends when it has left the step it is in


class WorkerPool:
    """Worker 0 is the thread that calls ``run``; the others are threads of the pool's own.

    No step waits for a helper without a core. Such a one may still look at the counters of a step
    that is long over, so every step gets a region of its own: there is one more than there are
    helpers, so one is always free.
    """

    def __init__(self, code: Mapping[str, Any], arguments: StepArguments, num_workers: int) -> None:
        """Start the threads.  ``code``: all that they may run, that of pool.ll.j2 among it."""
        self._lead = code["lead"]
        self._arguments = arguments
        self._regions = zeros(num_workers, _REGION)
        self._regions["num_arguments"] = arguments.num_arguments
        self._regions["arguments"] = [arguments.address(n) for n in range(num_workers)]
        self._regions["worker_bytes"] = arguments.worker_bytes
        self._helpers = zeros(num_workers - 1, _HELPER)
        self._board = zeros(1, _BOARD)
        self._board["helpers"] = self._helpers.ctypes.data
        self._board["regions"] = self._regions.ctypes.data
        memory = (self._board, self._regions, self._helpers, arguments, code)
        address = self._board.ctypes.data
        threads = tuple(
            threading.Thread(
                target=_help,
                args=(code["help"], address, number, memory),
                name=f"worker {number}",
                daemon=True,
            )
            for number in range(1, num_workers)
        )
        for thread in threads:
            thread.start()
        weakref.finalize(self, _end, code["end"], address, threads, memory)  # at exit, too

    def run(self, step: Any, scalars: Sequence[int], num_workers: int) -> None:
        """Run ``step`` on up to so many workers; returns when all its pieces are done."""
        region = int(np.flatnonzero(self._regions["inside"] == 0)[0])
        self._arguments.prepare(region, scalars)
        self._regions["step"][region] = step.__chandle__()
        self._board["region"] = region
        self._board["invited"] = num_workers - 1
        self._lead(self._board.ctypes.data)


def _help(help_: Callable[[int, int], None], board: int, number: int, _memory: object) -> None:
    """A helper's life.  It keeps the memory that it works on."""
    help_(board, number)


def _end(
    end: Callable[[int, int], None],
    board: int,
    threads: Sequence[threading.Thread],
    _memory: object,
) -> None:
    end(board, len(threads))
    for thread in threads:
        if thread is not threading.current_thread():  # which may be collecting garbage
            thread.join(_JOIN_SECONDS)

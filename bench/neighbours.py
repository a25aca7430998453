"""A side on a machine that others use too: loops that only burn time run beside it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from inferflux.bench.measures import Measure
from inferflux.bench.side import Setting, WorkerSide

_SETTLE_SECONDS = 0.2  # until every loop spins and the system has placed it
_LOOP = (sys.executable, "-S", "-c", "while True: pass")


@dataclass(frozen=True, slots=True)
class DisturbedSide:
    """Another side, measured while ``count`` cores' worth of loops run.  They end with each run."""

    side: WorkerSide
    count: int

    @property
    def name(self) -> str:
        return self.side.name

    @property
    def versions(self) -> Mapping[str, str]:
        return self.side.versions

    def settings(self, measure: Measure) -> Sequence[Setting]:
        return self.side.settings(measure)

    def prepare(self, measure: Measure, setting: Setting) -> None:
        """Beside the loops too, so that the engine may get used to them."""
        with neighbours(self.count):
            self.side.prepare(measure, setting)

    def run(self) -> float:
        with neighbours(self.count):
            return self.side.run()

    def close(self) -> None:
        self.side.close()


@contextmanager
def neighbours(count: int) -> Iterator[list[int]]:
    """Run so many loops, one a process, as long as the block; gives their ids."""
    loops = [subprocess.Popen(_LOOP) for _ in range(count)]
    try:
        time.sleep(_SETTLE_SECONDS)
        yield [loop.pid for loop in loops]
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()

"""This machine as the tuner asks for it: it runs steps that were compiled a moment ago."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence

from inferflux.bench.machine import this_machine
from inferflux.cli.step_timer import StepTimer
from inferflux.codegen.artifact import machine_features
from inferflux.codegen.artifact.compiled import CompiledModel, CpuStep
from inferflux.codegen.autotune.device import Array, Launch
from inferflux.codegen.autotune.table import DeviceFacts
from inferflux.engine.runtime.single import single_step
from inferflux.engine.runtime.tiles import request_tiles


class ThisMachine:
    """A ``Device``: so many workers of the machine this process runs on."""

    def __init__(self, num_workers: int) -> None:
        self.facts = DeviceFacts(this_machine().cpu, num_workers)
        self.machine = platform.machine()
        if "amx_tile" in machine_features():
            request_tiles()  # before there are threads

    def load(
        self, code: bytes, step: CpuStep, buffers: Mapping[str, Array], scalars: Sequence[int]
    ) -> Launch:
        run = single_step(code, step, buffers, scalars, self.facts.num_workers)

        def launch() -> float:
            started = time.perf_counter()
            run()
            return time.perf_counter() - started

        return launch

    def steps(self, model: CompiledModel, target: str) -> StepTimer:
        return StepTimer(model, target, self.facts.num_workers)

    def now(self) -> float:
        return time.monotonic()

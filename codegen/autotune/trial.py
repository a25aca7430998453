"""A candidate made ready on a device: its step compiled, checked against NumPy, and launched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from inferflux.codegen.autotune import cost
from inferflux.codegen.autotune.device import Array, Device, Launch
from inferflux.codegen.autotune.probe import Probe
from inferflux.codegen.autotune.task import Task
from inferflux.codegen.autotune.validate import check
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets.cpu import compile_steps
from inferflux.kernels.kernel import Schedule

LONGEST = 0.03  # seconds, by the cost model: who computes that long does not wait for memory
FEWEST = 4  # copies of a phase in a measured step


class Trials(Protocol):
    """What can try the schedules of one task."""

    def launch(self, schedule: Schedule) -> Launch:
        """Make a schedule ready to be measured: a launch gives the seconds of one run of it."""
        ...

    def check(self, schedule: Schedule) -> None:
        """Raise ``WrongResult`` unless a schedule computes what the op means."""
        ...


class DeviceTrials:
    """Tries the schedules of one task on a device, over ``read_bytes`` of weights or pages."""

    def __init__(self, task: Task, target: CpuTarget, device: Device, read_bytes: int) -> None:
        self._target = replace(target, machines={device.machine: target.machines[device.machine]})
        self._device = device
        self._once = Probe(task, target, copies=1)
        run = cost.seconds(task, task.space[0], device.facts.num_workers)
        copies = min(read_bytes // self._once.copy_bytes, int(LONGEST / run))
        self._many = Probe(task, target, max(FEWEST, copies))
        self._buffers = self._many.buffers()

    def launch(self, schedule: Schedule) -> Launch:
        whole = self._load(self._many, schedule, self._buffers)
        return lambda: whole() / self._many.copies

    def check(self, schedule: Schedule) -> None:
        buffers = self._once.buffers()
        self._load(self._once, schedule, buffers)()
        check(self._once, buffers)

    def _load(self, probe: Probe, schedule: Schedule, buffers: Mapping[str, Array]) -> Launch:
        text = probe.text(schedule)
        (code,) = compile_steps(self._target, [text], lambda stage, done: None)[
            self._device.machine
        ]
        return self._device.load(code, probe.facts(text), buffers, probe.scalars)

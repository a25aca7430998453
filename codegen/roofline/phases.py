"""Every phase of a model by itself: what it reads, what it computes, and how long that takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inferflux.codegen.autotune.cost import bytes_read, multiply_adds
from inferflux.codegen.autotune.device import Device
from inferflux.codegen.autotune.task import Task, tasks
from inferflux.codegen.autotune.trial import DeviceTrials
from inferflux.codegen.autotune.variants import variants_of
from inferflux.codegen.roofline.roofs import median_seconds
from inferflux.codegen.roofline.work import arithmetic_of
from inferflux.codegen.select import Choose
from inferflux.codegen.target import CpuTarget
from inferflux.ir.graph import Graph


@dataclass(frozen=True, slots=True)
class PhaseSpeed:
    """One run of a phase."""

    name: str  # the op and its weights
    num_tokens: int
    uses: int  # how often a step of so many tokens runs it
    seconds: float
    bytes_read: int  # of weights, once, and of the pages that tokens attend to
    multiply_adds: int  # with weights; 0 for attention, which is bound by what it reads
    arithmetic: str  # what its products are computed in: "i8x32", "bf16" or "f32"


def measure_phases(
    graphs: Mapping[str, Graph],
    target: CpuTarget,
    device: Device,
    choose: Choose,
    read_bytes: int,
) -> Iterator[PhaseSpeed]:
    """Run every phase that reads weights or pages, cut as ``choose`` says, over ``read_bytes``.

    That much is what a step reads, so that caches hold what they hold in a model.  ``graphs`` are
    those of the model by arithmetic.
    """
    for task in tasks(graphs, variants_of(target, graphs), target.name):
        if bytes_read(task):
            yield _measure(task, target, device, choose, read_bytes)


def _measure(
    task: Task, target: CpuTarget, device: Device, choose: Choose, read_bytes: int
) -> PhaseSpeed:
    phase = task.phase
    schedule = choose(phase.kernel, phase.node, phase.shape, target.name)
    launch = DeviceTrials(task, target, device, read_bytes).launch(schedule)
    return PhaseSpeed(
        name=_name(task),
        num_tokens=task.num_tokens,
        uses=task.scope.uses,
        seconds=median_seconds(launch),
        bytes_read=bytes_read(task),
        multiply_adds=multiply_adds(task),
        arithmetic=arithmetic_of(phase.node),
    )


def _name(task: Task) -> str:
    """``gate_up q4_1[1536, 576] q4_1[1536, 576]``"""
    weights = (value.type for value in task.phase.node.inputs if value.type.layout)
    shapes = (f"{type_.dtype}[{', '.join(map(str, type_.shape))}]" for type_ in weights)
    return " ".join((task.phase.node.op.name, *shapes))

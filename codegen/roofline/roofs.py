"""The roofs of a machine, by the target's own instructions and on the engine's own workers.

After Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.  They are steps of one phase:
the same launch, claims and wait as a model's, so that what is left below a roof is the kernel's.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inferflux.codegen.artifact.compiled import CpuStep
from inferflux.codegen.autotune.device import Array, Device, Launch
from inferflux.codegen.autotune.workload import ATTENTION_CUT
from inferflux.codegen.memory import MAX_WORKERS
from inferflux.codegen.phase_function import SCALARS, phase_function
from inferflux.codegen.step import StepText, counters
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets.cpu import compile_steps
from inferflux.codegen.templates import render
from inferflux.codegen.weights import ALIGNMENT, PREFETCH_PADDING
from inferflux.kernels.kernel import StepShape

PREFETCHES: Final = (0, 2048, 8192)  # bytes ahead; the best of them is the roof
ROWS: Final = (8, 12)  # rows of sums held in registers; the best of them is the roof
RUNS: Final = 7
_WARM: Final = 2
_WHILE: Final = 0.15  # seconds
_LINES: Final = 1024  # of 64 bytes, of a piece
_AGAIN, _GROUPS, _PIECES = 1024, 8, 32
_UNUSED: Final = (0,) * (len(SCALARS) - 1)  # a roof looks at no scalar but the worker's number
_PLACES: Final = 64  # that pieces write their results to
_BUFFERS: Final = {
    "weights": "uint8",
    "scratch_f32": "float32",
    "scratch_i8": "int8",
    "scratch_i32": "int32",
    "sync": "int32",
}


@dataclass(frozen=True, slots=True)
class Roofs:
    """What the workers reach together."""

    read: float  # bytes/s, over as much as a step reads
    computing: Mapping[str, float]  # multiply-adds/s, by what products are computed in


def measure_roofs(target: CpuTarget, device: Device, read_bytes: int) -> Roofs:
    """Measure every roof; each is the best of a few ways to come to it."""
    bench = _Roof(target, device, read_bytes, median_seconds)
    computing = {"i8x32": bench.dots, "f32": bench.floats}
    if target.panels is not None:
        computing["bf16"] = bench.pairs
    return Roofs(
        read=max(bench.read(prefetch) for prefetch in PREFETCHES),
        computing={name: max(map(roof, ROWS)) for name, roof in computing.items()},
    )


def quick_roofs(target: CpuTarget, device: Device, read_bytes: int) -> Roofs:
    """Measure each roof in one way, the best of a few runs: good enough for a prediction."""
    bench = _Roof(target, device, read_bytes, best_seconds)
    computing = {"i8x32": bench.dots(ROWS[0]), "f32": bench.floats(ROWS[0])}
    if target.panels is not None:
        computing["bf16"] = bench.pairs(ROWS[0])
    return Roofs(bench.read(PREFETCHES[1]), computing)


def best_seconds(launch: Launch) -> float:
    """The least of as many as a short while allows: neighbours are no limit of a machine."""
    runs: list[float] = []
    while len(runs) < RUNS or sum(runs) < _WHILE:
        runs.append(launch())
    return min(runs)


def median_seconds(launch: Launch) -> float:
    """Of a few launches, after some that are not counted."""
    for _ in range(_WARM):
        launch()
    return statistics.median(launch() for _ in range(RUNS))


class _Roof:
    def __init__(
        self,
        target: CpuTarget,
        device: Device,
        read_bytes: int,
        timed: Callable[[Launch], float],
    ) -> None:
        self._timed = timed
        self._target = replace(target, machines={device.machine: target.machines[device.machine]})
        self._device = device
        self._pieces = max(1, read_bytes // (_LINES * 64))
        self._buffers = dict(_filled(self._pieces * _LINES * 64 + PREFETCH_PADDING))

    def read(self, prefetch: int) -> float:
        """Bytes per second."""
        given = {"lines": _LINES, "prefetch": prefetch, "places": _PLACES}
        seconds = self._seconds("read", self._pieces, given)
        return self._pieces * _LINES * 64 / seconds

    def dots(self, rows: int) -> float:
        """Multiply-adds of int8 per second."""
        seconds = self._seconds("dots", _PIECES, self._repeated(rows))
        return _PIECES * _AGAIN * _GROUPS * rows * 64 / seconds

    def floats(self, rows: int) -> float:
        """Multiply-adds of float32 per second."""
        given = {**self._repeated(rows), "inputs": rows * _GROUPS}
        seconds = self._seconds("floats", _PIECES, given)
        return _PIECES * _AGAIN * _GROUPS * rows * 16 / seconds

    def pairs(self, rows: int) -> float:
        """Multiply-adds of bf16 per second."""
        seconds = self._seconds("pairs", _PIECES, self._repeated(rows))
        return _PIECES * _AGAIN * _GROUPS * rows * 32 / seconds

    def _repeated(self, rows: int) -> dict[str, int]:
        return {"again": _AGAIN, "groups": _GROUPS, "rows": rows, "places": _PLACES}

    def _seconds(self, name: str, pieces: int, given: Mapping[str, int]) -> float:
        text = _step(name, pieces, given)
        (code,) = compile_steps(self._target, [text], lambda stage, done: None)[
            self._device.machine
        ]
        return self._timed(self._device.load(code, _facts(text), self._buffers, _UNUSED))


def _step(name: str, pieces: int, given: Mapping[str, int]) -> StepText:
    """A step of one phase, written as a model's are."""
    body = render(f"roofline/{name}.j2", given)
    numbers = dict.fromkeys(SCALARS, "int32")
    function = phase_function(name, f"a roof: {name}", _BUFFERS, numbers, str(pieces), body)
    text = render(
        "step.j2",
        {
            "symbol": f"roof_{name}",
            "row_block": 1,
            "max_tokens": 1,
            "handles": [f"{buffer}_handle: T.handle" for buffer in _BUFFERS],
            "scalars": SCALARS,
            "buffers": _BUFFERS,
            "tile_shapes": (),
            "phases": f"{function.call('0', {})}\n{function.wait('0')}",
        },
    )
    return StepText(f"roof_{name}", "i8x32", StepShape(1, 1), text, 1, (function,))


def _facts(text: StepText) -> CpuStep:
    """How the step is called."""
    return CpuStep(
        arguments=(*_BUFFERS, *SCALARS),
        variants=(text.variant,),
        scratch_f32=0,
        scratch_i8=0,
        scratch_i32=0,
        sync=counters(text.num_phases),
        row_padding=0,
        logits_stride=0,
        max_step_tokens=1,
        max_workers=MAX_WORKERS,
        attention=ATTENTION_CUT,
    )


def _filled(num_weights: int) -> Iterator[tuple[str, Array]]:
    """Buffers with room for every roof; the weights are touched, so that all their pages exist.

    As floats they are ones: a subnormal number would be slow, and no weight is one.
    """
    yield "weights", _aligned(np.full(num_weights // 4, 1.0, np.float32).view(np.uint8))
    yield "scratch_f32", _aligned(np.full(max(ROWS) * (_GROUPS + 16 * _PLACES), 0.5, np.float32))
    yield "scratch_i8", _aligned(np.full(max(ROWS) * _GROUPS * 4, 3, np.int8))
    yield "scratch_i32", _aligned(np.zeros(_PLACES * 64, np.int32))


def _aligned(array: Array) -> Array:
    """A copy that begins where compiled code wants it."""
    room = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    copy = room[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy

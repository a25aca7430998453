"""The roofs: they do the work that their figures claim, on every target this machine can run."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inferflux.cli.device import ThisMachine
from inferflux.codegen.artifact.machine import machine_features
from inferflux.codegen.forms import lower
from inferflux.codegen.roofline import roofs
from inferflux.codegen.roofline.phases import measure_phases
from inferflux.codegen.roofline.roofs import _Roof, measure_roofs, median_seconds
from inferflux.codegen.select import default_schedule
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import TARGETS
from inferflux.ir import frontend

READ_BYTES = 1 << 20


@pytest.fixture(params=TARGETS.values(), ids=lambda target: target.name)
def here(request: pytest.FixtureRequest) -> CpuTarget:
    target: CpuTarget = request.param
    if {*target.features, platform.machine()} - machine_features():
        pytest.skip(f"this machine cannot run {target.name}")
    return target


@pytest.fixture
def roof(here: CpuTarget, monkeypatch: pytest.MonkeyPatch) -> _Roof:
    """Few repetitions: 32 columns are what sums hold exactly on every ISA."""
    monkeypatch.setattr(roofs, "_AGAIN", 1)
    return _Roof(here, ThisMachine(2), READ_BYTES, median_seconds)


def test_the_read_roof_reads_every_byte(roof: _Roof) -> None:
    weights = roof._buffers["weights"]
    weights[:] = np.random.default_rng(0).integers(0, 256, weights.size, np.uint8)
    roof.read(prefetch=2048)
    read = weights[:READ_BYTES].view(np.int32).reshape(-1, 64)  # lanes of four lines
    written = roof._buffers["scratch_i32"].reshape(-1, 64)
    assert (np.bitwise_xor.reduce(written) == np.bitwise_xor.reduce(read)).all()


def test_the_dots_roof_multiplies_and_adds_as_often_as_it_claims(roof: _Roof) -> None:
    assert roof.dots(rows=8) > 0
    weights = roof._buffers["weights"][:512].reshape(8, 16, 4).astype(int)  # group, row, column
    stored_as_signed = {
        (weights * 3).sum(axis=(0, 2))[0],
        ((weights - 128) * 3).sum(axis=(0, 2))[0],
    }
    written = roof._buffers["scratch_f32"][: 16 * 8 * roofs._PIECES].reshape(-1, 16)
    assert set(written[:, 0].astype(int)) <= stored_as_signed


def test_the_floats_roof_multiplies_and_adds_as_often_as_it_claims(roof: _Roof) -> None:
    roof.floats(rows=8)
    inputs = 8 * roofs._GROUPS
    written = roof._buffers["scratch_f32"][inputs : inputs + 16 * 8 * roofs._PIECES]
    assert (written == roofs._GROUPS * 0.5).all()  # ones times halves


def test_the_bf16_roof_multiplies_and_adds_as_often_as_it_claims(roof: _Roof) -> None:
    if roof._target.panels is None:
        pytest.skip(f"{roof._target.name} has no products of bf16")
    roof._buffers["weights"][:] = np.tile(_bf16(1.0), roof._buffers["weights"].size // 2)
    roof._buffers["scratch_i32"].view(np.uint8)[:] = np.tile(_bf16(0.5), 64 * 64 * 2)
    roof.pairs(rows=8)
    written = roof._buffers["scratch_f32"][: 16 * 8 * roofs._PIECES]
    assert (written == roofs._GROUPS * 2 * 0.5).all()


def _bf16(number: float) -> np.ndarray:
    """The upper half of a float32, as two bytes."""
    return np.array([number], np.float32).view(np.uint8)[2:]


def test_a_machine_has_all_roofs(here: CpuTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofs, "RUNS", 1)
    measured = measure_roofs(here, ThisMachine(1), READ_BYTES)
    assert min(measured.read, *measured.computing.values()) > 0
    assert ("bf16" in measured.computing) == (here.panels is not None)


def test_a_median_forgets_the_warm_runs_and_the_worst() -> None:
    times = iter([9.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert median_seconds(lambda: next(times)) == 4.0


def test_every_phase_that_reads_weights_or_pages_is_measured(
    tiny_gguf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roofs, "RUNS", 1)
    target = TARGETS["cpu:portable"]
    graphs = lower(frontend.open(tiny_gguf()), "default", [target])
    measured = list(
        measure_phases(graphs, target, ThisMachine(1), default_schedule, read_bytes=1 << 16)
    )
    assert {phase.name.split()[0] for phase in measured} >= {"linear", "linear_residual"}
    assert all(phase.seconds > 0 and phase.bytes_read > 0 for phase in measured)
    assert {phase.uses for phase in measured} == {1, 2}

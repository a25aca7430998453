"""Threads share a step's pieces, wait for none of each other, and end with their pool."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inferflux.codegen.phase_function import phase_function
from inferflux.codegen.step import counters
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.targets.cpu import compile_steps
from inferflux.engine.runtime import cpu
from inferflux.engine.runtime.arguments import SCALARS, StepArguments
from inferflux.engine.runtime.memory import zeros
from inferflux.engine.runtime.pool import WorkerPool

PIECES, PHASES = 37, 3
PATIENCE = 20.0  # seconds until a test that waits for a thread has failed
STEP = """
@T.prim_func(s_tir=True)
def step(sync_handle: T.handle, done_handle: T.handle, {scalars}):
    T.func_attr({{"global_symbol": "step", "tirx.noalias": True}})
    sync = T.match_buffer(sync_handle, ({num_counters},), "int32")
    done = T.match_buffer(done_handle, ({num_done},), "int32")
{calls}
"""


@pytest.fixture(scope="session")
def pool_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An object with the functions of a pool, and a step that counts how often a piece is done."""
    functions = [
        phase_function(
            f"phase_{index}",
            f"phase {index}",
            {"sync": "int32", "done": "int32"},
            {"num_tokens": "int32"},
            pieces="num_tokens",
            body=f"done[{index * PIECES} + piece] = done[{index * PIECES} + piece] + 1",
        )
        for index in range(PHASES)
    ]
    calls = [
        statement
        for index, each in enumerate(functions)
        for statement in (each.call(str(index), {}), each.wait(str(index)))
    ]
    text = STEP.format(
        scalars=", ".join(f"{name}: T.int32" for name in SCALARS),
        num_counters=counters(PHASES),
        num_done=PHASES * PIECES,
        calls="\n".join(f"    {statement}" for statement in calls),
    )
    machine, facts = platform.machine(), TARGETS["cpu:portable"]
    target = replace(facts, machines={machine: facts.machines[machine]})
    step = SimpleNamespace(symbol="step", text=text, functions=functions)
    path = tmp_path_factory.mktemp("pool") / "step.o"
    path.write_bytes(compile_steps(target, [step], lambda stage, done: None)[machine][0])
    return path


@pytest.fixture(scope="session")
def module(pool_code: Path) -> Any:
    return cpu.load_module((pool_code.read_bytes(),))


@pytest.fixture
def done() -> Any:
    """How often each piece was done."""
    return zeros(PHASES * PIECES, "int32")


@pytest.fixture
def make_pool(module: Any, done: Any) -> Callable[[int], WorkerPool]:
    def make(num_workers: int) -> WorkerPool:
        step = SimpleNamespace(arguments=("sync", "done", *SCALARS), sync=counters(PHASES))
        return WorkerPool(module, StepArguments(step, {"done": done}, num_workers), num_workers)

    return make


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_every_piece_of_every_step_is_done_once(make_pool, module, done, num_workers):
    pool = make_pool(num_workers)
    for _ in range(500):
        run(pool, module["step"], PIECES, num_workers)
    np.testing.assert_array_equal(done, 500)


def test_no_step_waits_for_a_helper_that_lost_its_core(make_pool):
    """It finds its own scalars and counters when it is back, however many steps later."""
    pool, step, lost = make_pool(2), RecordedStep(), threading.Event()
    step.helper_waits_for = lost
    run(pool, step.function, 1, 2)
    (late,) = step.helped
    for number in range(2, 6):
        run(pool, step.function, number, 2)
        assert late.address != step.led[-1].address, "the region of a helper was given away"
    assert [call.num_tokens for call in step.led] == [1, 2, 3, 4, 5]
    assert len(step.helped) == 1
    assert not late.sync.any(), "counters changed under a helper"
    lost.set()
    run(pool, step.function, 6, 2)
    assert [call.num_tokens for call in step.helped] == [1, 6]


def test_only_those_who_are_invited_take_part(make_pool):
    pool, step = make_pool(3), RecordedStep()
    step.leader_waits = False
    for _ in range(50):
        run(pool, step.function, 1, 1)
    assert not step.helped
    step.leader_waits = True
    run(pool, step.function, 1, 2)
    assert [call.worker for call in step.helped] == [1]


def test_a_helper_without_work_sleeps_until_there_is_some(make_pool):
    pool, step = make_pool(2), RecordedStep()
    for number in range(1, 4):
        wait_until(lambda: pool._helpers["asleep"].all())
        run(pool, step.function, number, 2)
    assert [call.num_tokens for call in step.helped] == [1, 2, 3]


def test_threads_end_with_their_pool(make_pool, module):
    before = threading.active_count()
    first, second = make_pool(3), make_pool(2)
    assert threading.active_count() == before + 3
    run(second, module["step"], PIECES, 2)
    run(first, module["step"], PIECES, 3)
    del first, second
    gc.collect()
    assert threading.active_count() == before


def test_a_step_that_fails_says_so(make_pool):
    import tvm_ffi

    def fails(*_: object) -> None:
        raise ValueError

    pool = make_pool(2)
    with pytest.raises(RuntimeError, match="the step"):
        run(pool, tvm_ffi.convert(fails), 1, 1)


def test_a_process_with_threads_in_compiled_code_ends_by_itself(pool_code: Path):
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from types import SimpleNamespace
import test_pool
module = test_pool.cpu.load_module((Path({str(pool_code)!r}).read_bytes(),))
make = test_pool.make_pool.__wrapped__(module, test_pool.done.__wrapped__())
pools = [make(3), make(2)]
for pool in pools:
    test_pool.run(pool, module["step"], test_pool.PIECES, 2)
"""
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=PATIENCE)


def run(pool: WorkerPool, step: Any, num_tokens: int, num_workers: int) -> None:
    others = [0] * (len(SCALARS) - 2)  # but for the number of tokens and the worker's
    pool.run(step, (num_tokens, *others), num_workers)


class Call:
    """One worker's call of a step."""

    def __init__(self, sync: Any, num_tokens: int, worker: int) -> None:
        self.sync = np.from_dlpack(sync)
        self.address = self.sync.ctypes.data
        self.num_tokens, self.worker = num_tokens, worker


class RecordedStep:
    """A step of one piece, in Python: worker 0 does it once the first helper has come."""

    def __init__(self) -> None:
        import tvm_ffi

        self.led: list[Call] = []
        self.helped: list[Call] = []
        self.helper_waits_for: threading.Event | None = None
        self.leader_waits = True
        self.function = tvm_ffi.convert(self._run)

    def _run(self, sync: Any, _done: Any, num_tokens: int, *others: int) -> None:
        call = Call(sync, num_tokens, worker := others[-1])
        if worker:
            self.helped.append(call)
            if self.helper_waits_for is not None:
                self.helper_waits_for.wait(PATIENCE)
            return
        self.led.append(call)
        busy = self.helper_waits_for is not None and not self.helper_waits_for.is_set()
        if self.leader_waits and not (busy and len(self.led) > 1):
            wait_until(lambda: len(self.helped) and self.helped[-1].num_tokens == num_tokens)


def wait_until(is_true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0)

"""What a step costs besides the device: Python between two steps is time both cores are idle."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest

from inferflux.engine.messages import MAX_LOGPROBS
from inferflux.engine.step import StepOutputs

GENEROUS = 5  # a loaded CI machine is so much slower than the bound we design for


@pytest.fixture
def idle_runner(fake):
    """A device that takes no time."""

    class IdleRunner(fake.FakeRunner):
        def forward(self, inputs):
            count = len(inputs.logit_rows)
            top = np.zeros((count, MAX_LOGPROBS), np.int32)
            scores = np.zeros(count, np.float32)
            return StepOutputs(scores.astype(np.int32), scores, top, top.astype(np.float32))

    return IdleRunner(num_pages=256, max_logit_rows=16)


@pytest.mark.parametrize(("streams", "milliseconds"), [(1, 0.15), (16, 0.3)])
def test_a_decode_step_costs_little_besides_the_device(
    fake, request_of, idle_runner, capsys, streams, milliseconds
):
    engine = fake.engine(idle_runner, max_sequences=16)
    for index in range(streams):
        engine.add(request_of(str(index), [1], 120))
    engine.step()
    times = []
    for _ in range(100):
        start = time.perf_counter()
        outputs = engine.step()
        times.append(time.perf_counter() - start)
        assert len(outputs) == streams
    taken = statistics.median(times) * 1e3
    with capsys.disabled():
        print(f"\n{streams} streams: {taken:.3f} ms of Python a step (bound {milliseconds})")  # noqa: T201
    assert taken < milliseconds * GENEROUS

"""The number of workers follows what steps take, at a small price."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from inferflux.engine.runtime.worker_count import LONGEST_PAUSE, WorkerCount

Takes = Callable[[int], float]  # workers -> seconds of a step


def chosen(count: WorkerCount, takes: Takes, steps: int, size: tuple[int, int] = (1, 1)):
    """Run steps; which numbers of workers they were given."""
    found = []
    for _ in range(steps):
        found.append(count.choose(*size))
        count.record(*size, takes(found[-1]))
    return np.array(found)


def scaling(workers: int) -> float:
    return 8e-3 / workers


def disturbed(workers: int) -> float:
    """The last of four workers has no core most of the time."""
    return 8e-3 / 3 if workers == 3 else 8e-3 if workers == 4 else scaling(workers)


@pytest.mark.parametrize("most", [1, 2, 4, 16])
def test_all_workers_run_where_all_have_cores(most):
    found = chosen(WorkerCount(most), scaling, 5000)
    assert np.mean(found == most) > 0.98
    assert np.mean([scaling(n) for n in found]) < 1.01 * scaling(most)


def test_a_worker_that_holds_up_steps_is_left_out_and_comes_back():
    count = WorkerCount(4)
    chosen(count, scaling, 1000)
    found = chosen(count, disturbed, 1000)
    assert np.mean(found[50:] == 3) > 0.9
    found = chosen(count, scaling, 1000)
    assert np.mean(found[2 * LONGEST_PAUSE + 50 :] == 4) > 0.95


def test_steps_that_become_slow_are_looked_at_soon():
    count = WorkerCount(2)
    chosen(count, scaling, 2000)
    found = chosen(count, lambda workers: 8e-3 if workers == 1 else 30e-3, 100)
    assert np.mean(found[12:60] == 1) > 0.9


def test_equal_times_change_nothing():
    assert np.mean(chosen(WorkerCount(2), lambda _: 4e-3, 3000) == 2) > 0.97


def test_noise_costs_little():
    noise = np.random.default_rng(1)
    takes = lambda workers: scaling(workers) * noise.uniform(0.8, 1.5)  # noqa: E731
    assert np.mean(chosen(WorkerCount(2), takes, 5000) == 2) > 0.98


def test_sizes_are_chosen_for_by_themselves():
    count = WorkerCount(2)
    for _ in range(20):
        chosen(count, scaling, 50, (16, 16))
        chosen(count, lambda workers: 4e-3 * workers, 50, (1, 1))
    assert count.choose(16, 16) == 2
    assert count.choose(1, 1) == 1


def test_long_steps_are_never_tried_on_fewer():
    assert np.all(chosen(WorkerCount(2), lambda workers: 1 / workers, 1000, (256, 1)) == 2)

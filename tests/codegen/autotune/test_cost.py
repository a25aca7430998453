"""The model that orders candidates: few pieces leave workers idle, many cost claims."""

from __future__ import annotations

import pytest

from inferflux.codegen.autotune.cost import BANDWIDTH, CLAIM, num_pieces, ordered, seconds
from inferflux.codegen.autotune.expression import evaluate
from inferflux.codegen.autotune.task import tasks
from inferflux.codegen.autotune.variants import Variant
from inferflux.kernels.kernel import StepShape


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("num_tokens", 10),
        ("num_rows * 3", 9),
        ("T.truncdiv(num_tokens + 7, 8) * 12", 24),
        ("T.min(num_tokens, 4) - 1 + T.truncmod(num_rows, 2)", 4),
    ],
)
def test_numbers_of_pieces_are_worked_out(text, value):
    assert evaluate(text, {"num_tokens": 10, "num_rows": 3}) == value


@pytest.mark.parametrize("text", ["__import__('os')", "num_tokens ** 2", "[1]", "max_pages"])
def test_nothing_else_is(text):
    with pytest.raises((AssertionError, KeyError)):
        evaluate(text, {"num_tokens": 10})


@pytest.fixture(scope="module")
def task(fused):
    found = tasks({"i8x32": fused}, [Variant("i8x32", StepShape(1, 1))], "cpu:portable")
    return next(task for task in found if task.key.op == "gate_up_quantise")


def cut(task, units, prefetch=2560):
    return {**task.space[0], "units": units, "prefetch": prefetch}


def test_pieces_are_those_of_a_measured_step(task):
    assert [num_pieces(task, cut(task, units)) for units in (1, 2, 3, 4)] == [8, 4, 3, 2]


def test_a_last_round_that_is_not_full_costs_a_whole_one(task):
    work = 2 * 256 * 128 * 20 / 32 / BANDWIDTH
    assert seconds(task, cut(task, 3), 2) > 2 * (work / 3 + CLAIM), "three pieces, two workers"


def test_every_piece_is_claimed(task):
    work = 2 * 256 * 128 * 20 / 32 / BANDWIDTH
    assert seconds(task, cut(task, 1), 2) > 4 * (work / 8 + CLAIM)


def test_large_pieces_leave_the_other_worker_waiting(task):
    assert seconds(task, cut(task, 8), 2) > seconds(task, cut(task, 4), 2)


def test_prefetching_near_what_is_in_flight_comes_first(task):
    near, far = cut(task, 2, 2560), cut(task, 2, 3840)
    assert seconds(task, near, 2) < seconds(task, far, 2)


def test_the_order_is_of_all_schedules(task):
    assert len(ordered(task, 2)) == len(task.space)
    assert {tuple(s.items()) for s in ordered(task, 2)} == {tuple(s.items()) for s in task.space}

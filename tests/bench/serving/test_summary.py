"""Traces into the metrics that docs/metrics.md defines."""

from __future__ import annotations

import pytest

from inferflux.bench.errors import BenchFailed
from inferflux.bench.serving.load import Trace
from inferflux.bench.serving.summary import Answer, Percentiles, Slo, summarise

STEADY = Trace(1.0, [(1.5, 1), (1.6, 1), (1.7, 1)])  # TTFT 0.5, TPOT 0.1
SLOW_START = Trace(1.0, [(4.0, 1), (4.1, 1)])  # TTFT 3
STALLED = Trace(2.0, [(2.1, 1), (2.2, 1), (5.2, 1)])  # TPOT 1.55
LONE = Trace(2.0, [(2.4, 1)])  # one token: no TPOT, no ITL


def test_ttft_tpot_and_itl_of_one_request() -> None:
    answer = Answer.of(STEADY)
    assert answer.ttft == pytest.approx(0.5)
    assert answer.tpot == pytest.approx(0.1)
    assert answer.itl == pytest.approx((0.1, 0.1))


def test_a_message_of_several_tokens_gives_one_gap_and_counts_all_of_them() -> None:
    answer = Answer.of(Trace(0.0, [(1.0, 2), (2.0, 4)]))
    assert answer.itl == (1.0,)
    assert answer.tpot == pytest.approx(0.25)


def test_a_request_of_one_token_enters_no_average_of_gaps() -> None:
    figure = summarise([LONE], "grpc", Slo(), clients=1)
    assert figure.tpot is None
    assert figure.itl is None
    assert figure.ttft == Percentiles(0.4, 0.4, 0.4)
    assert figure.goodput == pytest.approx(1 / 0.4)


def test_goodput_counts_what_kept_both_objectives() -> None:
    refused = Trace(1.0, is_refused=True)
    traces = [STEADY, SLOW_START, STALLED, LONE, refused]
    figure = summarise(traces, "http", Slo(ttft=1.0, tpot=0.2), rate=2.0)
    assert figure.seconds == pytest.approx(4.2)  # from 1.0 to 5.2
    assert figure.answered == pytest.approx(4 / 4.2, abs=1e-3)
    assert figure.goodput == pytest.approx(2 / 4.2, abs=1e-3)  # STEADY and LONE
    assert figure.throughput == pytest.approx(9 / 4.2, abs=0.1)
    assert (figure.requests, figure.refused) == (5, 1)
    assert figure.load == "2 requests/s"


def test_percentiles_are_of_all_requests() -> None:
    assert Percentiles.of(range(101)) == Percentiles(50.0, 95.0, 99.0)
    assert Percentiles.of([]) is None


def test_a_load_of_which_nothing_was_answered_is_no_figure() -> None:
    with pytest.raises(BenchFailed, match="none of 1 requests over grpc"):
        summarise([Trace(0.0, is_refused=True)], "grpc", Slo(), clients=1)

"""What a workload measures, and under which names."""

from __future__ import annotations

from inferflux.bench.measures import Decode, Prefill, Streams, Workload


def test_streams_are_measured_at_every_depth_or_at_their_own() -> None:
    workload = Workload(
        prefill=(32, 512), streams=(Streams(1), Streams(4), Streams(1, 7936)), depths=(128, 2048)
    )
    assert [measure.key for measure in workload.measures()] == [
        *("prefill_32", "prefill_512"),
        *("decode_x1@128", "decode_x4@128", "decode_x1@2048", "decode_x4@2048"),
        "decode_x1@7936",
    ]


def test_nothing_is_measured_twice() -> None:
    workload = Workload(prefill=(32, 32), streams=(Streams(1), Streams(1, 128)), depths=(128,))
    assert workload.measures() == (Prefill(32), Decode(1, 128, workload.steps))


def test_a_workload_may_be_empty() -> None:
    assert Workload(prefill=(), streams=()).measures() == ()

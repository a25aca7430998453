"""Frames: whole messages out of any bytes, or a typed error."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.engine.config import EngineConfig
from inferflux.engine.determinism import Determinism
from inferflux.engine.errors import FrameError
from inferflux.engine.frames import (
    LENGTH,
    MAX_FRAME_BYTES,
    decode_upward,
    downward_frames,
    encode,
)
from inferflux.engine.messages import (
    Abort,
    Command,
    EngineStats,
    Failure,
    FinishReason,
    Hello,
    Request,
    SamplingParams,
    Start,
    StepFrame,
    TokenLogprobs,
    TokenOutput,
)
from inferflux.errors import InferFluxError

STATS = EngineStats(1, 2, 3, 4, 5)
ROW = TokenLogprobs(7, -0.5, [7, 8], [-0.5, float("-inf")])
DOWNWARD = [
    Start(1, EngineConfig(Path("models/a.ifx"), kv_bytes=1 << 30, record_dir=Path("r"))),
    Request(
        "r",
        [1, 2],
        3,
        SamplingParams(top_k=5, seed=2**64 - 1),
        [0],
        2,
        1.5,
        Determinism.BATCH_INVARIANT,
    ),
    Abort("r"),
    Command("drain"),
]
UPWARD = [
    Hello(1, "digest", "cpu:portable", 2048, 32, STATS, Determinism.BATCH_INVARIANT),
    StepFrame([TokenOutput("r", [7], [ROW], [ROW], FinishReason.STOP)], STATS),
    Failure("artifact_corrupt", "chunk 3"),
]


@given(st.data())
def test_frames_survive_any_cutting(data):
    encoded = b"".join(encode(message) for message in DOWNWARD)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(encoded)), max_size=30)))
    reader, received = downward_frames(), []
    for start, stop in zip([0, *cuts], [*cuts, len(encoded)], strict=True):
        received += reader.feed(encoded[start:stop])
    assert received == DOWNWARD


@pytest.mark.parametrize("message", UPWARD, ids=lambda m: type(m).__name__)
def test_upward_messages_survive_their_frame(message):
    assert decode_upward(encode(message)[LENGTH.size :]) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_frame_error(body):
    for read in (downward_frames().feed, lambda frame: decode_upward(frame[LENGTH.size :])):
        try:
            read(LENGTH.pack(len(body)) + body)
        except FrameError:
            continue


@given(st.sampled_from(DOWNWARD), st.data())
def test_a_mutated_frame_is_a_message_or_an_error_of_ours(message, data):
    frame = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        downward_frames().feed(bytes(frame))
    except InferFluxError:
        return


def test_a_frame_beyond_the_limit_is_refused_by_its_length_alone():
    with pytest.raises(FrameError, match="the limit is"):
        downward_frames().feed(LENGTH.pack(MAX_FRAME_BYTES + 1))
    with pytest.raises(FrameError, match="the limit is"):
        encode(Abort("x" * MAX_FRAME_BYTES))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xdd\xff\xff\xff\xff",  # a list of 2**32 - 1 items
        b"\x91" * 100_000,  # lists in lists
        msgspec.msgpack.encode({"type": "abort"}),
        msgspec.msgpack.encode({"type": "abort", "request_id": "r", "more": 1}),
        msgspec.msgpack.encode({"type": "command", "name": "reboot"}),
        msgspec.msgpack.encode({"type": "tokens", "request_id": "r", "tokens": []}),
    ],
    ids=["empty", "endless", "deep", "missing", "unknown field", "unknown command", "upward"],
)
def test_what_is_no_message_is_refused(body):
    with pytest.raises(FrameError):
        downward_frames().feed(LENGTH.pack(len(body)) + body)

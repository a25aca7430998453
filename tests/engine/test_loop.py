"""The main loop: it waits only when there is nothing to do, and answers between steps."""

from __future__ import annotations

import pytest

from inferflux.engine.errors import FrameError
from inferflux.engine.loop import run
from inferflux.engine.messages import Abort, Command, FinishReason, Start


class Script:
    """An inbox that hands out one list of messages after the other, then says shutdown."""

    def __init__(self, *turns):
        self.turns = [*turns, [Command("shutdown")]]
        self.waited: list[bool] = []

    def take(self, *, waits):
        self.waited.append(waits)
        return self.turns.pop(0)


def frames_of(engine, *turns):
    inbox, frames = Script(*turns), []
    run(engine, inbox, frames.append)
    return inbox, frames


def test_it_waits_exactly_when_there_is_nothing_to_do(fake, request_of):
    inbox, frames = frames_of(fake.engine(), [request_of("a", [1], 3)], [], [], [])
    assert inbox.waited == [True, False, False, True, True]
    assert [[o.request_id for o in frame.outputs] for frame in frames] == [["a"]] * 3


def test_a_part_of_a_frame_is_no_reason_to_step(fake):
    inbox, frames = frames_of(fake.engine(), [], [])
    assert (inbox.waited, frames) == ([True, True, True], [])


def test_an_abort_is_answered_with_its_pages_already_free(fake, request_of):
    _, frames = frames_of(fake.engine(), [request_of("a", [1], 50)], [Abort("a")])
    assert frames[0].stats.free_pages < frames[0].stats.total_pages
    assert frames[1].stats.free_pages == frames[1].stats.total_pages
    assert [o.finish_reason for o in frames[1].outputs] == [FinishReason.ABORT]


def test_a_refusal_is_sent_in_the_frame_of_the_same_step(fake, request_of):
    good, bad = request_of("good", [1]), request_of("bad", [99])
    _, [frame] = frames_of(fake.engine(), [good, bad])
    reasons = {o.request_id: (o.finish_reason, o.error_code) for o in frame.outputs}
    assert reasons == {"bad": (FinishReason.ERROR, "invalid_argument"), "good": (None, None)}


def test_a_drained_loop_refuses_and_goes_on(fake, request_of):
    first, late = request_of("first", [1], 2), request_of("late", [1])
    _, frames = frames_of(fake.engine(), [first], [Command("drain")], [late])
    reasons = [[(o.request_id, o.finish_reason) for o in frame.outputs] for frame in frames]
    assert reasons == [
        [("first", None)],
        [("first", FinishReason.LENGTH)],
        [("late", FinishReason.ERROR)],
    ]


def test_a_second_start_is_no_message_of_this_protocol(fake):
    with pytest.raises(FrameError, match="second start"):
        frames_of(fake.engine(), [Start(1, fake.engine()._config)])

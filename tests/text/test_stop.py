"""Stop strings act as if the whole text had been searched, and hold back no more than they must."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.errors import InvalidArgument
from inferflux.text import StopStrings

few_letters = st.text("ab", max_size=12)
stop_strings = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)
pieces = st.lists(few_letters, max_size=8)


def cut(text: str, stops: list[str]) -> str | None:
    """The text before the stop string that ends first, the longest of those; None without one."""
    for end in range(len(text) + 1):
        ending_here = [stop for stop in stops if text[:end].endswith(stop)]
        if ending_here:
            return text[: end - max(map(len, ending_here))]
    return None


def fed(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    """All that is shown, and whether a stop string was met."""
    stop = StopStrings(stops)
    shown = ""
    for piece in pieces:
        text, stopped = stop.push(piece)
        shown += text
        if stopped:
            return shown, True
    return shown + stop.finish(), False


@given(stop_strings, pieces)
def test_it_finds_what_a_search_of_the_whole_text_finds(
    stops: list[str], pieces: list[str]
) -> None:
    text = "".join(pieces)
    expected = cut(text, stops)
    assert fed(stops, pieces) == ((text, False) if expected is None else (expected, True))


@given(stop_strings, pieces)
def test_it_holds_back_only_what_could_become_a_stop_string(
    stops: list[str], pieces: list[str]
) -> None:
    stop, shown, text = StopStrings(stops), "", ""
    for piece in pieces:
        text += piece
        emitted, stopped = stop.push(piece)
        shown += emitted
        if stopped:
            return
        held = text[len(shown) :]
        endings = [text[at:] for at in range(len(text)) if begins_a_stop(text[at:], stops)]
        assert held == max(endings, key=len, default="")


def begins_a_stop(ending: str, stops: list[str]) -> bool:
    return any(stop.startswith(ending) for stop in stops)


def test_a_stop_string_may_span_many_pieces() -> None:
    assert fed(["END"], ["say E", "N", "D of it"]) == ("say ", True)


def test_text_that_only_began_like_a_stop_string_is_shown() -> None:
    stop = StopStrings(["END"])
    assert stop.push("the EN") == ("the ", False)
    assert stop.push("GINE") == ("ENGIN", False)
    assert stop.finish() == "E"


def test_without_stop_strings_text_passes() -> None:
    assert StopStrings([]).push("anything") == ("anything", False)


@pytest.mark.parametrize(
    ("stops", "message"),
    [
        (["a", ""], "a stop string is empty"),
        (["a"] * 17, "17 stop strings; at most 16"),
        (["a" * 257], "257 characters; at most 256"),
    ],
)
def test_amplifying_stop_strings_are_refused(stops: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        StopStrings(stops)

"""Stop strings in streamed text, wherever the borders of its tokens fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from inferflux.errors import InvalidArgument

MAX_STOP_STRINGS: Final = 16
MAX_STOP_CHARACTERS: Final = 256  # of one stop string: so much text may be held back


class StopStrings:
    """Gives text up to the stop string that is completed first; of several, the longest.

    What could still become a stop string is held back, and nothing else is.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        _check(stops)
        self._stops = tuple(stops)
        self._held = ""
        self._stopped = False

    def push(self, text: str) -> tuple[str, bool]:
        """The text that is safe to show, and whether a stop string was completed."""
        assert not self._stopped, "text after a stop string"
        pending = self._held + text
        start = self._find(pending)
        self._stopped = start is not None
        shown = self._hold_from(pending) if start is None else start
        self._held = "" if self._stopped else pending[shown:]
        return pending[:shown], self._stopped

    def finish(self) -> str:
        """The text held back, now that no more will come."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        """Where the first completed stop string starts."""
        found = ((text.find(stop), len(stop)) for stop in self._stops)
        spans = [(start + length, start) for start, length in found if start >= 0]
        return min(spans)[1] if spans else None

    def _hold_from(self, text: str) -> int:
        """Where the longest ending of ``text`` that begins a stop string starts."""
        longest = max(map(len, self._stops), default=0)
        for start in range(max(0, len(text) - longest + 1), len(text)):
            ending = text[start:]
            if any(stop.startswith(ending) for stop in self._stops):
                return start
        return len(text)


def _check(stops: Sequence[str]) -> None:
    if len(stops) > MAX_STOP_STRINGS:
        raise InvalidArgument(f"{len(stops)} stop strings; at most {MAX_STOP_STRINGS} are allowed")
    for stop in stops:
        if not stop:
            raise InvalidArgument("a stop string is empty; leave it out to have none")
        if len(stop) > MAX_STOP_CHARACTERS:
            length = f"a stop string has {len(stop)} characters"
            raise InvalidArgument(f"{length}; at most {MAX_STOP_CHARACTERS} are allowed")

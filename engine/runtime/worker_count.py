"""How many workers a step is given: as many as make steps of its size fastest, by trial.

A neighbour that takes a core now and then holds up the pieces that its worker had claimed. Whether
that worker still pays is seen in what steps take, and only there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GAIN = 0.05  # that another number must promise before it is taken
RECENT = 0.25  # weight of the last step in the time that steps of a size take
WORSE = 1.5  # times as long: a trial ends at once, and steps that became so slow cause one
TRIAL_STEPS = 4
FIRST_PAUSE, LONGEST_PAUSE = 16, 256  # steps between trials, doubling while they change nothing
LONGEST_TRIED = 0.05  # seconds: nobody shall wait for a trial of a long prefill


class WorkerCount:
    """Chooses for steps of each size by themselves, from one worker to ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sizes: dict[tuple[int, int], _Size] = {}

    def choose(self, num_tokens: int, num_rows: int) -> int:
        """Workers for the next step of this size."""
        size = self._size(num_tokens, num_rows)
        return size.best if size.tried is None else size.tried

    def record(self, num_tokens: int, num_rows: int, seconds: float) -> None:
        """What the step of this size took that was chosen for last."""
        if self._most > 1:
            self._size(num_tokens, num_rows).record(seconds, self._most)

    def _size(self, num_tokens: int, num_rows: int) -> _Size:
        """Sizes within a factor of two are one."""
        key = num_tokens.bit_length(), num_rows.bit_length()
        if key not in self._sizes:
            self._sizes[key] = _Size(self._most)
        return self._sizes[key]


@dataclass(slots=True)
class _Size:
    """Steps of one size: the best number of workers so far, and one that is being tried."""

    best: int
    seconds: float | None = None  # that steps take with the best
    judged: float | None = None  # ... and took when it was last compared
    pause: int = FIRST_PAUSE
    steps_left: int = FIRST_PAUSE  # until the next trial
    tried: int | None = None
    trial: list[float] = field(default_factory=list)
    tries_more: bool = False

    def record(self, seconds: float, most: int) -> None:
        if self.tried is not None:
            self._try(seconds)
            return
        self.seconds = seconds if self.seconds is None else _mixed(self.seconds, seconds)
        self.steps_left -= 1
        if self.judged is not None and self.seconds > WORSE * self.judged:
            self.steps_left = 0
        if self.steps_left <= 0 and self.seconds < LONGEST_TRIED:
            self.tried = self._next(most)

    def _try(self, seconds: float) -> None:
        assert self.seconds is not None
        self.trial.append(seconds)
        if seconds < WORSE * self.seconds and len(self.trial) < TRIAL_STEPS:
            return
        average = sum(self.trial) / len(self.trial)
        if average < (1 - GAIN) * self.seconds:
            assert self.tried is not None
            self.best, self.seconds, self.pause = self.tried, average, FIRST_PAUSE
        else:
            self.pause = min(2 * self.pause, LONGEST_PAUSE)
        self.tried, self.steps_left, self.judged = None, self.pause, self.seconds
        self.trial.clear()

    def _next(self, most: int) -> int:
        """One worker less and one more, in turns."""
        self.tries_more = not self.tries_more
        if self.best == most or (self.best > 1 and not self.tries_more):
            return self.best - 1
        return self.best + 1


def _mixed(average: float, last: float) -> float:
    return (1 - RECENT) * average + RECENT * last

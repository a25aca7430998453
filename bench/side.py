"""A side of a comparison: an engine in a process of its own, stopped while it is not measured."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

import msgspec

from inferflux.bench.errors import BenchFailed
from inferflux.bench.measures import Decode, Measure, Prefill

Setting = Mapping[str, bool | int | str]
DEFAULTS: Setting = {}
_LAST_WORDS = 2000  # characters of what a side that died said last


class Side(Protocol):
    """An engine that can be measured."""

    @property
    def name(self) -> str: ...

    def settings(self, measure: Measure) -> Sequence[Setting]:
        """The settings among which this side may choose for a measure."""

    def prepare(self, measure: Measure, setting: Setting) -> None:
        """Get ready for runs of ``measure``, and run it once unmeasured."""

    def run(self) -> float:
        """Tokens per second of one run of what was prepared."""


@dataclass(frozen=True, slots=True)
class Choices:
    """A side's own settings; ``shared`` ones matter only where several streams share a cache."""

    alone: Mapping[str, Sequence[bool]]
    shared: Mapping[str, Sequence[bool]]

    def of(self, measure: Measure) -> Sequence[Setting]:
        several = {**self.alone, **self.shared}
        alone = {**self.alone, **{name: values[:1] for name, values in self.shared.items()}}
        chosen = several if measure.streams > 1 else alone
        return [
            dict(zip(chosen, values, strict=True)) for values in itertools.product(*chosen.values())
        ]


NO_CHOICES = Choices({}, {})


class WorkerSide:
    """A worker that answers lines of JSON with lines of JSON (``worker.py`` and ``peers/``).

    It is stopped by a signal while it is not asked: threads that spin after their work would
    otherwise be measured as slowness of the other side.
    """

    def __init__(self, name: str, command: Sequence[str], choices: Choices = NO_CHOICES) -> None:
        self.name = name
        self._choices = choices
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the side
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        self.versions: Mapping[str, str] = self._read()["versions"]
        self._stop()

    def settings(self, measure: Measure) -> Sequence[Setting]:
        return self._choices.of(measure)

    def prepare(self, measure: Measure, setting: Setting) -> None:
        match measure:
            case Prefill(num_tokens):
                asked: dict[str, Any] = {"prefill": num_tokens}
            case Decode(streams, depth, steps):
                asked = {"streams": streams, "depth": depth, "steps": steps}
        self._ask({"prepare": asked, "setting": dict(setting)})

    def run(self) -> float:
        return float(self._ask({"run": True})["speed"])

    def close(self) -> None:
        """End the process: it holds nothing worth a farewell."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._dead() from None
        answer = self._read()
        self._stop()
        return answer

    def _stop(self) -> None:
        """Returns once every thread has stopped, or the process has ended."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._dead()
        answer: dict[str, Any] = msgspec.json.decode(line)
        if "error" in answer:
            raise BenchFailed(f"{self.name}: {answer['error']}")
        return answer

    def _dead(self) -> BenchFailed:
        status = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        return BenchFailed(
            f"{self.name} ended with status {status}; it said: {said[-_LAST_WORDS:] or 'nothing'}"
        )

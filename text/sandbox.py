"""A template in a process of its own, with budgets for time, memory, steps and output.

Steps are counted in there, the same number for the same template and variables on any machine.
But a template can double a string thirty times in thirty steps, or raise numbers to powers; and
should it ever get out of Jinja2's sandbox, it is in a process that holds and can open nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from inferflux.errors import InferFluxError

PROGRAM: Final = Path(__file__).with_name("template_child.py")
PASSED_ON: Final = ("TZ", "LD_LIBRARY_PATH")  # of the environment; the rest may hold secrets
ANSWER_SECONDS: Final = 30.0  # for an interpreter to start or to answer, on the busiest machine


class TemplateError(InferFluxError):
    """The model's chat template is wrong, or went over a budget."""

    code = "template_error"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one rendering may use."""

    steps: int = 2_000_000  # parts of statements, items and texts gone through; about 0.3 s
    max_output_bytes: int = 16 << 20  # what is over a tokenizer's own bound it says itself
    memory_bytes: int = 512 << 20  # address space, with the interpreter's own
    seconds: float = 2.0  # of a core


class TemplateSandbox:
    """Renders one template.  Its process starts with the first rendering, anew after it died."""

    def __init__(self, template: str, budget: Budget) -> None:
        self._template = template
        self._budget = budget
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._complaint: TemplateError | None = None  # of a template that cannot be compiled

    def prepare(self) -> None:
        """Start the process, unless it is there.  Raises TemplateError for a wrong template."""
        with self._lock:
            self._running()

    def render(self, variables: Mapping[str, object]) -> Mapping[str, str]:
        """``text``, or the words in which the template ``refused``.  Blocks; threads may share."""
        with self._lock:
            return self._ask(self._running(), variables)

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _running(self) -> _Child:
        if self._child is not None and self._child.is_alive:
            return self._child
        if self._complaint is not None:  # no request pays for it again
            raise TemplateError(str(self._complaint))
        self._stop()
        self._child = child = _Child()
        try:
            self._ask(child, {"template": self._template} | asdict(self._budget))
        except TemplateError as complaint:
            self._complaint = complaint if child.is_alive else None  # else it may have been killed
            self._stop()
            raise
        return child

    def _stop(self) -> None:
        if self._child is not None:
            self._child.stop()
        self._child = None

    def _ask(self, child: _Child, frame: Mapping[str, object]) -> dict[str, str]:
        try:
            answer = child.exchange(json.dumps(frame))
        except BaseException:  # interrupted: the answer still to come would be taken for the next
            self._stop()
            raise
        if answer is None:
            self._stop()
            raise TemplateError(
                "the model's chat template crashed its sandbox or went over its budget of "
                f"{self._budget.seconds} s and {self._budget.memory_bytes >> 20} MiB"
            )
        if "error" in answer:
            raise TemplateError(f"the model's chat template failed: {answer['error']}")
        return answer


class _Child:
    """The process and its pipes."""

    def __init__(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-I", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            start_new_session=True,  # Ctrl-C is for the server, which still drains
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._requests, self._answers = process, process.stdin, process.stdout
        self.stop = weakref.finalize(self, _stop, process)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def exchange(self, frame: str) -> dict[str, str] | None:
        """The answer to ``frame``; None if the process died of it."""
        deadline = threading.Timer(ANSWER_SECONDS, self._process.kill)
        deadline.start()
        try:
            self._requests.write(frame.encode() + b"\n")
            self._requests.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            return None
        finally:
            deadline.cancel()
        answer: dict[str, str] | None = json.loads(line) if line.endswith(b"\n") else None
        return answer


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with contextlib.suppress(BrokenPipeError):  # what a dead process left unread
        process.communicate()

"""Measuring artifacts offline: one worker a side, as many measures as fit the memory given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inferflux.bench.measures import Measure, Workload
from inferflux.bench.neighbours import DisturbedSide
from inferflux.bench.peers.llama import llama_side
from inferflux.bench.rounds import OfflineFigure, measure_all
from inferflux.bench.side import WorkerSide
from inferflux.codegen import artifact
from inferflux.codegen.artifact import Artifact
from inferflux.codegen.artifact.compiled import PAGE_SIZE, CompiledTarget
from inferflux.engine.config import EngineConfig
from inferflux.engine.determinism import Determinism
from inferflux.errors import InvalidArgument

OURS = "inferflux"
_CHUNK_TOKENS = 512  # the longest prompt of the protocol in one step, as the yardsticks batch it

StartedSide = WorkerSide | DisturbedSide
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: an artifact, one of its targets, and how it is run."""

    path: Path
    artifact: Artifact
    target: CompiledTarget
    threads: int
    determinism: Determinism = Determinism.DEFAULT

    @classmethod
    def of(
        cls,
        path: Path,
        target: str | None,
        threads: int,
        determinism: Determinism = Determinism.DEFAULT,
    ) -> Subject:
        peeked = artifact.peek(path)
        compiled = artifact.require_target(peeked, target, artifact.machine_features())
        return cls(path, peeked, compiled, threads, determinism)

    @property
    def chunk_tokens(self) -> int:
        return min(_CHUNK_TOKENS, self.target.step.max_step_tokens)

    @property
    def page_bytes(self) -> int:
        """Of one page in every KV group."""
        return sum(group.page_bytes for group in self.target.kv_groups)

    def kv_bytes(self, measure: Measure) -> int:
        """Every stream rounds up to whole pages, and has one to spare."""
        pages = -(-measure.longest(self.chunk_tokens) // PAGE_SIZE) + 1
        return measure.streams * pages * self.page_bytes

    def engine(self, measures: Sequence[Measure]) -> EngineConfig:
        """An engine with room for the largest of ``measures``."""
        streams = max((measure.streams for measure in measures), default=1)
        return EngineConfig(
            artifact=self.path,
            target=self.target.name,
            num_workers=self.threads,
            kv_bytes=max(map(self.kv_bytes, measures), default=self.page_bytes * 2),
            max_sequences=streams,
            max_waiting=streams,
            chunk_tokens=self.chunk_tokens,
            determinism=self.determinism,
        )


@dataclass(frozen=True, slots=True)
class Rivals:
    """What else is measured beside the subject."""

    artifacts: tuple[Path, ...] = ()
    neighbours: int = 0  # ours once more, beside so many busy loops
    model_file: Path | None = None  # for llama.cpp
    llama_python: str | None = None  # the Python that has its binding; None: not measured
    llama_server: Path | None = None  # its server, for start-up


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measure that was asked for and not made."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class OfflineRun:
    """What was found, and the versions that each side named."""

    figures: list[OfflineFigure]
    left_out: list[LeftOut]
    versions: dict[str, dict[str, str]]


def run_offline(
    subject: Subject,
    rivals: Rivals,
    workload: Workload,
    kv_bytes: int,
    on_progress: OnProgress,
    keep: Callable[[OfflineRun], None],
) -> None:
    """Measure the workload on all sides; a measure too large is left out.

    What there is, is kept when the sides have started and after every round.
    """
    refusals = [(m, _refusal(m, subject, kv_bytes)) for m in workload.measures()]
    fitting = [measure for measure, reason in refusals if reason is None]
    left_out = [LeftOut(measure.key, reason) for measure, reason in refusals if reason is not None]
    with _sides(subject, rivals, fitting) as sides:
        versions = {side.name: dict(side.versions) for side in sides}
        keep(OfflineRun([], left_out, versions))
        measure_all(
            fitting,
            sides,
            workload.rounds,
            on_progress,
            lambda figures: keep(OfflineRun(figures, left_out, versions)),
        )


def _refusal(measure: Measure, subject: Subject, kv_bytes: int) -> str | None:
    """Why a measure cannot be made, if so."""
    context_length = subject.artifact.model.facts.context_length
    longest = measure.longest(subject.chunk_tokens)
    if longest > context_length:
        return f"a stream comes to {longest} tokens; the model's context is {context_length}"
    needed = subject.kv_bytes(measure)
    if needed > kv_bytes:
        return f"its KV pages take {needed >> 20} MB; --kv-bytes is {kv_bytes >> 20} MB"
    return None


@contextmanager
def _sides(
    subject: Subject, rivals: Rivals, measures: Sequence[Measure]
) -> Iterator[list[StartedSide]]:
    """Start every side; each ends with the block.  Ours is the first."""
    with ExitStack() as stack:
        sides: list[StartedSide] = []
        for side in _starting(subject, rivals, measures):
            stack.callback(side.close)
            sides.append(side)
        yield sides


def _starting(
    subject: Subject, rivals: Rivals, measures: Sequence[Measure]
) -> Iterator[StartedSide]:
    yield our_side(OURS, subject.engine(measures))
    if rivals.neighbours:
        busy = our_side(f"{OURS}, {rivals.neighbours} busy", subject.engine(measures))
        yield DisturbedSide(busy, rivals.neighbours)
    for path in rivals.artifacts:
        if path.stem == OURS:
            raise InvalidArgument(f"{path}: give it another name, {OURS} is that of our own side")
        other = Subject.of(path, None, subject.threads)
        yield our_side(path.stem, other.engine(measures))
    if rivals.llama_python is not None:
        assert rivals.model_file is not None, "checked where the options are read"
        yield llama_side(rivals.llama_python, rivals.model_file, subject.threads)


def our_side(name: str, config: EngineConfig) -> WorkerSide:
    """An engine of ours in a worker."""
    described = msgspec.json.encode(config, enc_hook=str).decode()
    return WorkerSide(name, [sys.executable, "-P", "-m", "inferflux.bench.worker", described])

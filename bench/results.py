"""The results file: all that a run of the bench found, and all that is needed to judge it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from inferflux.bench.machine import Machine, this_machine
from inferflux.bench.measures import Workload
from inferflux.bench.offline import LeftOut, Subject
from inferflux.bench.roofline import RooflineResults
from inferflux.bench.rounds import OfflineFigure
from inferflux.bench.serving.run import ServingResults
from inferflux.bench.startup import StartupFigure
from inferflux.engine.determinism import Determinism
from inferflux.errors import InferFluxError

FORMAT: Final = 1


class InvalidResults(InferFluxError):
    """A file is not one of results that this version reads."""

    code = "invalid_results"


class MeasuredModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was run: the artifact's model, as it was compiled."""

    name: str
    artifact_bytes: int
    artifact_digest: str
    target: str
    numerics: str
    kv_dtype: str  # what keys are kept in, as NumPy names it


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it was run."""

    threads: int
    steps: int  # timed in a run of decoding
    rounds: int
    chunk_tokens: int
    determinism: Determinism = Determinism.DEFAULT  # of our own side


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One run of `inferflux bench`.  The first side of each figure is ours."""

    format: int
    command: str
    date: str  # UTC, ISO 8601
    machine: Machine
    versions: dict[str, dict[str, str]]  # by side
    model: MeasuredModel
    protocol: Protocol
    offline: list[OfflineFigure] = []
    left_out: list[LeftOut] = []
    serving: ServingResults | None = None
    startup: StartupFigure | None = None
    roofline: RooflineResults | None = None
    partial: bool = False  # the run was broken off: rounds or whole parts are missing

    def speeds(self) -> dict[str, float]:
        """Our medians by key, tok/s."""
        return {
            figure.key: next(iter(figure.sides.values())).speed.median for figure in self.offline
        }


def begin(subject: Subject, workload: Workload, command: str) -> Results:
    """The circumstances of now and here, and nothing found yet."""
    return Results(
        format=FORMAT,
        command=command,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        versions={},
        model=MeasuredModel(
            name=subject.artifact.model.facts.name,
            artifact_bytes=subject.path.stat().st_size,
            artifact_digest=subject.artifact.digest,
            target=subject.target.name,
            numerics=subject.target.numerics,
            kv_dtype=subject.target.kv_groups[0].streams[0].dtype,
        ),
        protocol=Protocol(
            threads=subject.threads,
            steps=workload.steps,
            rounds=workload.rounds,
            chunk_tokens=subject.chunk_tokens,
            determinism=subject.determinism,
        ),
        partial=True,
    )


def encode(results: Results) -> str:
    """As JSON that people can read and compare."""
    return msgspec.json.format(msgspec.json.encode(results), indent=2).decode() + "\n"


def read(path: Path) -> Results:
    """The results in a file.  Raises InvalidResults."""
    try:
        results = msgspec.json.decode(path.read_bytes(), type=Results)
    except msgspec.MsgspecError as error:
        raise InvalidResults(f"{path} holds no results of `inferflux bench`: {error}") from error
    if results.format != FORMAT:
        raise InvalidResults(
            f"{path} is of format {results.format}, this version reads {FORMAT}: measure again"
        )
    return results

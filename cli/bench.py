"""`inferflux bench`: how fast a model is on this machine, and beside another engine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferflux.cli import bench_options as given
from inferflux.cli.options import Model, Numerics, Threads

if TYPE_CHECKING:
    from inferflux.bench.offline import Rivals


def bench(
    model: Model,
    json: given.Json = None,
    threads: Threads = None,
    numerics: Numerics = "default",
    target: Annotated[
        str | None, typer.Option(help="Build and run for this target, else the best here.")
    ] = None,
    prefill: given.Prefill = given.DEFAULT_PREFILL,
    streams: given.StreamList = given.DEFAULT_STREAMS,
    depth: given.Depths = given.DEFAULT_DEPTHS,
    steps: given.Steps = 64,
    rounds: given.Rounds = 3,
    kv_bytes: given.KVBudget = given.DEFAULT_KV_BUDGET,
    against: given.Against = None,
    peer_python: given.PeerPython = given.THIS_PYTHON,
) -> None:
    """Measure a model: medians over fresh random prompts, with their spread."""
    from inferflux.bench.machine import usable_cores
    from inferflux.bench.measures import Workload
    from inferflux.bench.offline import Subject, run_offline
    from inferflux.bench.results import collect
    from inferflux.cli import bench_print
    from inferflux.cli.build import BuildOptions, artifact_for
    from inferflux.cli.progress import build_progress

    workload = Workload(tuple(prefill), tuple(streams), tuple(depth), steps, rounds)
    rivals = _rivals(model, against or (), peer_python)
    with build_progress() as report:
        options = BuildOptions(targets=(target,) if target else (), numerics=numerics)
        artifact = artifact_for(model, options, report)
    subject = Subject.of(artifact, target, threads or usable_cores())
    with build_progress() as report:
        offline = run_offline(subject, rivals, workload, kv_bytes, report.stage)
    results = collect(subject, workload, offline, _command())
    bench_print.write(results, json)


def _rivals(model: str, names: Sequence[str], python: str) -> Rivals:
    """Check what is to be compared with before the long work begins."""
    from inferflux.bench.offline import Rivals
    from inferflux.bench.peers import llama
    from inferflux.cli import store
    from inferflux.cli.build import Silent, is_artifact
    from inferflux.errors import InvalidArgument

    artifacts = tuple(Path(name) for name in names if is_artifact(name))
    unknown = [name for name in names if name != llama.NAME and not is_artifact(name)]
    if unknown:
        raise InvalidArgument(f"--against {unknown[0]}: name {llama.NAME} or a compiled .ifx")
    if llama.NAME not in names:
        return Rivals(artifacts=artifacts)
    llama.require_binding(python)
    file = Path(model) if is_artifact(model) else store.resolve(model, Silent())
    return Rivals(file, python, artifacts)


def _command() -> str:
    """What was typed, to be typed again."""
    return shlex.join(["inferflux", *sys.argv[1:]])

"""`inferflux bench`: how fast a model is on this machine, and beside another engine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferflux.cli import bench_options as given
from inferflux.cli.options import Determinism, KVDtype, Model, Numerics, Threads

if TYPE_CHECKING:
    from inferflux.bench.offline import Rivals


def bench(
    model: Model,
    json: given.Json = None,
    threads: Threads = None,
    numerics: Numerics = "default",
    kv_dtype: KVDtype = "f16",
    determinism: Determinism = "default",
    target: Annotated[
        str | None, typer.Option(help="Build and run for this target, else the best here.")
    ] = None,
    prefill: given.Prefill = given.DEFAULT_PREFILL,
    streams: given.StreamList = given.DEFAULT_STREAMS,
    depth: given.Depths = given.DEFAULT_DEPTHS,
    steps: given.Steps = 64,
    rounds: given.Rounds = 3,
    kv_bytes: given.KVBudget = given.DEFAULT_KV_BUDGET,
    roofline: given.Roofline = False,
    against: given.Against = None,
    peer_python: given.PeerPython = given.THIS_PYTHON,
    llama_server: given.LlamaServer = None,
    neighbours: given.Neighbours = 0,
    serving: given.Serving = False,
    startup: given.Startup = False,
    url: given.Url = None,
    at_once: given.AtOnce = given.DEFAULT_AT_ONCE,
    clients: given.Clients = given.DEFAULT_CLIENTS,
    rates: given.RateList = given.DEFAULT_RATES,
    requests: given.Requests = 64,
    prompt_tokens: given.PromptTokens = 128,
    output_tokens: given.OutputTokens = 64,
    slo_ttft: given.SloTtft = 1.0,
    slo_tpot: given.SloTpot = 0.05,
) -> None:
    """Measure a model: medians over fresh random prompts, with their spread."""
    from msgspec import structs

    from inferflux.bench.machine import usable_cores
    from inferflux.bench.measures import Decode, Streams, Workload
    from inferflux.bench.offline import Subject
    from inferflux.bench.results import begin
    from inferflux.bench.run import Found, Plan, run
    from inferflux.bench.serving.run import ServingWorkload
    from inferflux.bench.serving.summary import Slo
    from inferflux.cli import bench_print
    from inferflux.cli.build import BuildOptions, artifact_for
    from inferflux.cli.progress import build_progress
    from inferflux.cli.roofline import measure_roofline
    from inferflux.engine.determinism import determinism_named

    rivals = replace(
        _rivals(model, against or (), peer_python, llama_server), neighbours=neighbours
    )
    file = _model_file(model, "the roofline") if roofline else None
    at_depths = tuple(Streams(count, own_depth) for count, own_depth in streams)
    plan = Plan(
        offline=Workload(tuple(prefill), at_depths, tuple(depth), steps, rounds),
        kv_bytes=kv_bytes,
        rivals=rivals,
        serving=ServingWorkload(
            streams=tuple(Decode(count, depth[0], steps) for count in at_once if depth),
            clients=tuple(clients),
            rates=tuple(rates),
            requests=requests,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            slo=Slo(slo_ttft, slo_tpot),
            rounds=rounds,
        ),
        serves=serving or url is not None,
        starts=startup,
        url=url,
    )
    with build_progress() as report:
        options = BuildOptions(
            targets=(target,) if target else (), numerics=numerics, kv_dtype=kv_dtype
        )
        artifact = artifact_for(model, options, report)
    asked = determinism_named(determinism)
    subject = Subject.of(artifact, target, threads or usable_cores(), asked)
    found = Found(begin(subject, plan.offline, _command()), partial(bench_print.keep, path=json))
    try:
        with build_progress() as report:
            run(subject, plan, found, report.stage)
            if file is not None:
                found.add(roofline=measure_roofline(file, subject, kv_dtype, report))
        found.results = structs.replace(found.results, partial=False)
    finally:  # what was measured before a Ctrl-C, or before a side failed, is told too
        bench_print.write(found.results, json)


def _rivals(model: str, names: Sequence[str], python: str, llama_server: Path | None) -> Rivals:
    """Check what is to be compared with before the long work begins."""
    from inferflux.bench.offline import Rivals
    from inferflux.bench.peers import llama
    from inferflux.cli.model_argument import is_artifact
    from inferflux.errors import InvalidArgument

    artifacts = tuple(Path(name) for name in names if is_artifact(name))
    unknown = [name for name in names if name != llama.NAME and not is_artifact(name)]
    if unknown:
        raise InvalidArgument(f"--against {unknown[0]}: name {llama.NAME} or a compiled .ifx")
    if llama.NAME in names:
        llama.require_binding(python)
    elif llama_server is None:
        return Rivals(artifacts)
    return Rivals(
        artifacts,
        model_file=_gguf(model, llama.NAME),
        llama_python=python if llama.NAME in names else None,
        llama_server=llama_server,
    )


def _gguf(model: str, reader: str) -> Path:
    """The GGUF that a model is compiled from, for a reader of nothing else."""
    from inferflux.errors import InvalidArgument

    path = _model_file(model, reader)
    if path.is_dir():
        raise InvalidArgument(f"{reader} reads GGUF only, and {model} is a directory")
    return path


def _model_file(model: str, reader: str) -> Path:
    """The file a model is compiled from, for a reader who needs it; pulled if it has to be."""
    from inferflux.cli import store
    from inferflux.cli.build import Silent
    from inferflux.cli.model_argument import is_artifact
    from inferflux.errors import InvalidArgument

    if is_artifact(model):
        raise InvalidArgument(f"{reader} needs the model file, not {model}: name that")
    return store.resolve(model, Silent())


def _command() -> str:
    """What was typed, to be typed again."""
    return shlex.join(["inferflux", *sys.argv[1:]])

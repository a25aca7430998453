"""One run of the bench: every part that was asked for, into one results file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from inferflux.bench.measures import Workload
from inferflux.bench.offline import OURS, Rivals, Subject, run_offline
from inferflux.bench.results import Results, collect
from inferflux.bench.serving.measure import measure_serving, served_engine
from inferflux.bench.serving.run import ServingWorkload
from inferflux.bench.startup import StartupFigure, llama_starters, measure_startup, our_starter

OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    offline: Workload
    kv_bytes: int
    rivals: Rivals
    serving: ServingWorkload
    serves: bool = False
    starts: bool = False
    url: str | None = None  # of a server to ask instead of starting one


def run(subject: Subject, plan: Plan, command: str, on_progress: OnProgress) -> Results:
    """Measure all parts of the plan, one after the other."""
    offline = run_offline(subject, plan.rivals, plan.offline, plan.kv_bytes, on_progress)
    results = collect(subject, plan.offline, offline, command)
    if plan.serves:
        speeds = results.speeds()
        served = measure_serving(subject, plan.serving, plan.url, speeds, on_progress)
        results = structs.replace(results, serving=served)
    if plan.starts:
        results = structs.replace(results, startup=_startup(subject, plan, on_progress))
    return results


def _startup(subject: Subject, plan: Plan, on_progress: OnProgress) -> StartupFigure:
    starters = {OURS: our_starter(served_engine(subject, plan.serving))}
    rivals = plan.rivals
    if rivals.llama_server is not None:
        assert rivals.model_file is not None, "checked where the options are read"
        starters |= llama_starters(rivals.llama_server, rivals.model_file, subject.threads)
    return measure_startup(starters, plan.offline.rounds, on_progress)

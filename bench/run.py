"""One run of the bench: every part that was asked for, into one results file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from inferflux.bench.measures import Workload
from inferflux.bench.offline import OURS, Rivals, Subject, run_offline
from inferflux.bench.results import Results
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


@dataclass(slots=True)
class Found:
    """Results that grow.  Whoever keeps them has them after every round, marked as partial."""

    results: Results
    keep: Callable[[Results], None]

    def add(self, **parts: object) -> None:
        """Put parts in the place of what was there."""
        self.results = structs.replace(self.results, **parts)
        self.keep(self.results)


def run(subject: Subject, plan: Plan, found: Found, on_progress: OnProgress) -> None:
    """Measure all parts of the plan, one after the other.  They are added to what is found."""
    run_offline(
        subject,
        plan.rivals,
        plan.offline,
        plan.kv_bytes,
        on_progress,
        lambda run: found.add(offline=run.figures, left_out=run.left_out, versions=run.versions),
    )
    if plan.serves:
        speeds = found.results.speeds()
        measure_serving(
            subject,
            plan.serving,
            plan.url,
            speeds,
            on_progress,
            lambda served: found.add(serving=served),
        )
    if plan.starts:
        _start(subject, plan, on_progress, lambda figure: found.add(startup=figure))


def _start(
    subject: Subject, plan: Plan, on_progress: OnProgress, keep: Callable[[StartupFigure], None]
) -> None:
    starters = {OURS: our_starter(served_engine(subject, plan.serving))}
    rivals = plan.rivals
    if rivals.llama_server is not None:
        assert rivals.model_file is not None, "checked where the options are read"
        starters |= llama_starters(rivals.llama_server, rivals.model_file, subject.threads)
    measure_startup(starters, plan.offline.rounds, on_progress, keep)

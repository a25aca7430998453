"""The plot of a server under load: how long its clients wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferflux.bench.report.style import look, name_what_was_measured, plain_numbers
from inferflux.bench.report.table import door_name
from inferflux.bench.results import Results
from inferflux.bench.serving.summary import LoadFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_serving(figure: Figure, results: Results) -> str:
    """TTFT and ITL over the load: a column for closed and one for open loops."""
    assert results.serving is not None, "asked only where there is serving"
    served = results.serving
    kinds = (
        ("Closed loop", "clients", [load for load in served.loads if load.clients is not None]),
        ("Open loop (Poisson)", "requests/s", [f for f in served.loads if f.rate is not None]),
    )
    columns = [kind for kind in kinds if kind[2]]
    figure.set_size_inches(1.2 + 3.6 * len(columns), 5.6)
    panels = figure.subplots(2, len(columns), squeeze=False, sharex="col")
    for (upper, lower), (title, label, loads) in zip(panels.T, columns, strict=True):
        _draw_percentiles(upper, loads, "ttft")
        _draw_percentiles(lower, loads, "itl")
        upper.set_title(title)
        lower.set_xlabel(label)
    panels[0][0].set_ylabel("TTFT, ms")
    panels[1][0].set_ylabel("ITL, ms")
    panels[0][0].legend(frameon=False, fontsize=7)
    return f"{served.prompt_tokens} prompt tokens, at most {served.output_tokens} output tokens."


def _draw_percentiles(axes: Axes, loads: Sequence[LoadFigure], metric: str) -> None:
    """A line for the median and one for the 99th percentile of each door."""
    for index, door in enumerate(dict.fromkeys(load.door for load in loads)):
        points = [
            (_place(load), times)
            for load in loads
            if load.door == door and (times := getattr(load, metric)) is not None
        ]
        for percentile, line in (("p50", "-"), ("p99", ":")):
            axes.plot(
                [place for place, _ in points],
                [1000 * getattr(times, percentile) for _, times in points],
                line,
                ms=4,
                label=f"{door_name(door)} {percentile}",
                **look(index),
            )
    name_what_was_measured(axes, sorted({_place(load) for load in loads}))
    axes.set_yscale("log")
    plain_numbers(axes.yaxis)


def _place(load: LoadFigure) -> float:
    """Where a load stands among those of its kind."""
    place = load.rate if load.clients is None else load.clients
    assert place is not None, "a load has clients or a rate"
    return place

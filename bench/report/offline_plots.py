"""Plots of what was measured offline: speed over streams, over depth, over the prompt's length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from inferflux.bench.measures import Decode, Prefill
from inferflux.bench.report.style import INK, errors, look, name_what_was_measured, spread_of
from inferflux.bench.report.table import counted, side_name
from inferflux.bench.results import Results
from inferflux.bench.rounds import OfflineFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Mapping[int, OfflineFigure]  # figures by what a curve runs over, ascending


def by_depth(results: Results) -> dict[int, Points]:
    """For each depth at which several numbers of streams were measured, the figures by streams."""
    return _curves_of(
        (measure.depth, measure.streams, figure) for measure, figure in _decodes(results)
    )


def by_streams(results: Results) -> dict[int, Points]:
    """For each number of streams measured at several depths, the figures by depth."""
    return _curves_of(
        (measure.streams, measure.depth, figure) for measure, figure in _decodes(results)
    )


def prefills(results: Results) -> list[OfflineFigure]:
    return [figure for figure in results.offline if isinstance(figure.measure, Prefill)]


def draw_decode(figure: Figure, results: Results) -> str:
    """Throughput over streams, a panel for each depth."""
    curves = by_depth(results)
    figure.set_size_inches(1.2 + 3.6 * len(curves), 3.4)
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (depth, points) in zip(panels, curves.items(), strict=True):
        _draw_sides(axes, points)
        axes.set(title=f"Decode at depth {depth}", xlabel="streams")
    panels[0].set_ylabel("tok/s, all streams")
    panels[0].legend(frameon=False)
    return spread_of(results)


def draw_depth(figure: Figure, results: Results) -> str:
    """Speed over depth, for the fewest streams that were measured at several."""
    streams, points = min(by_streams(results).items())
    figure.set_size_inches(4.8, 3.4)
    axes = figure.subplots()
    _draw_sides(axes, points)
    title = f"Decode of {counted(streams, 'stream')}"
    axes.set(title=title, xlabel="depth, tokens", ylabel="tok/s")
    axes.legend(frameon=False)
    return spread_of(results)


def draw_prefill(figure: Figure, results: Results) -> str:
    """Bars for each prompt length, one for each side."""
    chosen = prefills(results)
    sides = list(chosen[0].sides)
    figure.set_size_inches(4.8, 3.4)
    axes = figure.subplots()
    for index, side in enumerate(sides):
        _draw_bars(axes, chosen, side, index, len(sides))
    lengths = [f.measure.num_tokens for f in chosen if isinstance(f.measure, Prefill)]
    axes.set_xticks(range(len(chosen)), [f"{length}" for length in lengths])
    axes.set(title="Prefill", xlabel="prompt tokens", ylabel="tok/s")
    axes.margins(y=0.25)  # room for the legend above the bars
    axes.legend(frameon=False, ncols=len(sides), loc="upper left")
    return spread_of(results)


def _draw_bars(
    axes: Axes, figures: Sequence[OfflineFigure], side: str, index: int, num_sides: int
) -> None:
    width = 0.8 / num_sides
    speeds = [figure.sides[side].speed for figure in figures]
    medians = [speed.median for speed in speeds]
    bars = axes.bar(
        [place + (index - (num_sides - 1) / 2) * width for place in range(len(figures))],
        medians,
        width * 0.94,
        yerr=errors(speeds),
        label=side_name(side),
        color=look(index)["color"],
        error_kw={"ecolor": INK, "capsize": 2, "lw": 1},
    )
    axes.bar_label(bars, [f"{median:,.0f}" for median in medians], padding=3, fontsize=7)


def _draw_sides(axes: Axes, points: Points) -> None:
    """A curve with its spread for each side."""
    figures = list(points.values())
    for index, side in enumerate(figures[0].sides):
        speeds = [figure.sides[side].speed for figure in figures]
        medians = [speed.median for speed in speeds]
        label, given = side_name(side), look(index)
        axes.errorbar(
            list(points), medians, yerr=errors(speeds), label=label, ms=4, capsize=2, **given
        )
    axes.set_ylim(bottom=0)
    name_what_was_measured(axes, list(points))


def _curves_of(placed: Iterable[tuple[int, int, OfflineFigure]]) -> dict[int, Points]:
    """Figures by curve and place on it, both ascending; a curve has two places at least."""
    curves: dict[int, dict[int, OfflineFigure]] = {}
    for curve, place, figure in sorted(placed, key=lambda each: each[:2]):
        curves.setdefault(curve, {})[place] = figure
    return {curve: points for curve, points in curves.items() if len(points) > 1}


def _decodes(results: Results) -> Iterator[tuple[Decode, OfflineFigure]]:
    for figure in results.offline:
        if isinstance(figure.measure, Decode):
            yield figure.measure, figure

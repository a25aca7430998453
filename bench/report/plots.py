"""Results as plots: every curve with its spread, in colours that all eyes tell apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inferflux.bench.figures import Figure as Measured
from inferflux.bench.measures import Decode, Prefill
from inferflux.bench.report.table import door_name, side_name
from inferflux.bench.results import Results
from inferflux.bench.rounds import OfflineFigure
from inferflux.bench.serving.summary import LoadFigure
from inferflux.errors import MissingPackages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_FORMATS: Final = ("png", "svg")
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito's
_MARKERS: Final = ("o", "s", "^", "D", "v")
_INK: Final = "#444444"
_DPI: Final = 160

Draw = Callable[["Figure", Results], str]  # gives what its footer says of the figures


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw every plot that the results have figures for, as PNG and SVG; gives the files."""
    return [path for name, plot in _plots(results) for path in _save(name, plot, results, folder)]


def _plots(results: Results) -> Iterator[tuple[str, Draw]]:
    """The plots by the names of their files."""
    decodes = [f.measure for f in results.offline if isinstance(f.measure, Decode)]
    if len({measure.streams for measure in decodes}) > 1:
        yield "decode", _decode
    if len({measure.depth for measure in decodes}) > 1:
        yield "depth", _depth
    if any(isinstance(figure.measure, Prefill) for figure in results.offline):
        yield "prefill", _prefill
    if results.serving is not None and results.serving.loads:
        yield "serving", _serving
    if results.roofline is not None:
        yield "roofline", _roofline


def _save(name: str, plot: Draw, results: Results, folder: Path) -> Iterator[Path]:
    matplotlib = _library()
    style: dict[str, Any] = {
        "font.size": 9,
        "axes.edgecolor": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#dddddd",
        "svg.hashsalt": name,  # same results, same bytes
    }
    with matplotlib.rc_context(style):
        figure = matplotlib.figure.Figure(layout="constrained")
        footer = f"{plot(figure, results)}\n{_circumstances(results)}"
        figure.supxlabel(footer, fontsize=6.5, color=_INK, x=0.01, ha="left")
        for suffix in _FORMATS:
            path = folder / f"{name}.{suffix}"
            figure.savefig(path, dpi=_DPI, metadata={"Date": None} if suffix == "svg" else None)
            yield path


def _decode(figure: Figure, results: Results) -> str:
    """Throughput over streams, a panel for each depth."""
    depths = sorted({f.measure.depth for f in results.offline if isinstance(f.measure, Decode)})
    figures = {
        depth: chosen
        for depth in depths
        if len(chosen := _at(results, lambda m, depth=depth: m.depth == depth)) > 1  # type: ignore[misc]
    }
    figure.set_size_inches(1.2 + 3.6 * len(figures), 3.4)
    panels = figure.subplots(1, len(figures), sharey=True, squeeze=False)[0]
    for axes, (depth, chosen) in zip(panels, figures.items(), strict=True):
        _curves(axes, chosen, [f.measure.streams for f in chosen])
        _logarithmic(axes, sorted({f.measure.streams for f in chosen}))
        axes.set(title=f"Decode at depth {depth}", xlabel="streams")
    panels[0].set_ylabel("tok/s, all streams")
    panels[0].legend(frameon=False)
    return _spread_of(results)


def _depth(figure: Figure, results: Results) -> str:
    """Speed over depth, for the fewest streams that were measured at several."""
    by_streams: dict[int, set[int]] = {}
    for measured in results.offline:
        if isinstance(measured.measure, Decode):
            by_streams.setdefault(measured.measure.streams, set()).add(measured.measure.depth)
    streams = min(count for count, depths in by_streams.items() if len(depths) > 1)
    chosen = _at(results, lambda measure: measure.streams == streams)
    figure.set_size_inches(4.8, 3.4)
    axes = figure.subplots()
    _curves(axes, chosen, [f.measure.depth for f in chosen])  # type: ignore[union-attr]
    _logarithmic(axes, sorted(by_streams[streams]))
    plural = "stream" if streams == 1 else "streams"
    axes.set(title=f"Decode of {streams} {plural}", xlabel="depth, tokens", ylabel="tok/s")
    axes.legend(frameon=False)
    return _spread_of(results)


def _prefill(figure: Figure, results: Results) -> str:
    """Bars: speed of each prompt length, a bar for each side."""
    chosen = [f for f in results.offline if isinstance(f.measure, Prefill)]
    sides = list(chosen[0].sides)
    width = 0.8 / len(sides)
    figure.set_size_inches(4.8, 3.4)
    axes = figure.subplots()
    for index, side in enumerate(sides):
        speeds = [f.sides[side].speed for f in chosen]
        at = [place + (index - (len(sides) - 1) / 2) * width for place in range(len(chosen))]
        medians = [speed.median for speed in speeds]
        bars = axes.bar(
            at,
            medians,
            width * 0.94,
            yerr=_errors(speeds),
            label=side_name(side),
            color=_COLOURS[index],
            error_kw={"ecolor": _INK, "capsize": 2, "lw": 1},
        )
        axes.bar_label(bars, [f"{median:,.0f}" for median in medians], padding=3, fontsize=7)
    axes.set_xticks(range(len(chosen)), [str(f.measure.num_tokens) for f in chosen])  # type: ignore[union-attr]
    axes.set(title="Prefill", xlabel="prompt tokens", ylabel="tok/s")
    axes.margins(y=0.25)  # room for the legend above the bars
    axes.legend(frameon=False, ncols=len(sides), loc="upper left")
    return _spread_of(results)


def _serving(figure: Figure, results: Results) -> str:
    """TTFT and ITL over the load: a panel for closed and for open loops."""
    assert results.serving is not None
    closed = [f for f in results.serving.loads if f.clients is not None]
    opened = [f for f in results.serving.loads if f.rate is not None]
    kinds = [
        (loads, label) for loads, label in ((closed, "clients"), (opened, "requests/s")) if loads
    ]
    figure.set_size_inches(1.2 + 3.6 * len(kinds), 5.6)
    panels = figure.subplots(2, len(kinds), squeeze=False, sharex="col")
    for column, (loads, label) in enumerate(kinds):
        for row, metric in enumerate(("ttft", "itl")):
            _percentiles(panels[row][column], loads, metric)
        panels[0][column].set_title("Closed loop" if label == "clients" else "Open loop (Poisson)")
        panels[1][column].set_xlabel(label)
    for row, name in enumerate(("TTFT, ms", "ITL, ms")):
        panels[row][0].set_ylabel(name)
    panels[0][0].legend(frameon=False, fontsize=7)
    served = results.serving
    return f"{served.prompt_tokens} prompt tokens, at most {served.output_tokens} output tokens."


def _roofline(figure: Figure, results: Results) -> str:
    """Phases below the roofs: speed over intensity, both logarithmic."""
    assert results.roofline is not None
    found, roofs = results.roofline, results.roofline.roofs
    phases = [phase for phase in found.phases if phase.multiply_adds]
    figure.set_size_inches(6.4, 4.4)
    axes = figure.subplots()
    for index, tokens in enumerate(sorted({phase.num_tokens for phase in phases})):
        chosen = [phase for phase in phases if phase.num_tokens == tokens]
        axes.scatter(
            [phase.multiply_adds / phase.bytes_read for phase in chosen],
            [phase.compute_speed / 1e9 for phase in chosen],
            label=f"{tokens} token{'' if tokens == 1 else 's'}",
            color=_COLOURS[index % len(_COLOURS)],
            marker=_MARKERS[index % len(_MARKERS)],
            s=18,
        )
    intensities = [phase.multiply_adds / phase.bytes_read for phase in phases]
    span = [min(intensities) / 2, max(intensities) * 2]
    for (name, roof), line in zip(roofs.computing.items(), ("-", "--", ":"), strict=False):
        at = sorted({*span, min(max(roof / roofs.read, span[0]), span[1])})
        heights = [min(roofs.read * intensity, roof) / 1e9 for intensity in at]
        axes.plot(at, heights, line, color=_INK, lw=1, label=f"roof, {name}")
    axes.set(xscale="log", yscale="log", title="Roofline")
    axes.set(xlabel="multiply-adds per byte of weights", ylabel="GMAC/s")
    for axis in (axes.xaxis, axes.yaxis):
        _plain_numbers(axis)
    axes.grid(which="major")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=7, loc="lower right")
    return f"Reading: {roofs.read / 1e9:.1f} GB/s over {found.read_bytes >> 20} MB."


def _percentiles(axes: Axes, loads: Sequence[LoadFigure], metric: str) -> None:
    """A line for the median and one for the 99th percentile of each door."""
    for index, door in enumerate(dict.fromkeys(load.door for load in loads)):
        points = [
            (load.clients or load.rate or 0.0, times)
            for load in loads
            if load.door == door and (times := getattr(load, metric)) is not None
        ]
        for percentile, line in (("p50", "-"), ("p99", ":")):
            axes.plot(
                [load for load, _ in points],
                [1000 * getattr(times, percentile) for _, times in points],
                line,
                marker=_MARKERS[index],
                color=_COLOURS[index],
                ms=4,
                label=f"{door_name(door)} {percentile}",
            )
    _logarithmic(axes, sorted({load.clients or load.rate or 0.0 for load in loads}))
    axes.set_yscale("log")
    _plain_numbers(axes.yaxis)


def _curves(axes: Axes, figures: Sequence[OfflineFigure], places: Sequence[float]) -> None:
    """A curve with its spread for each side."""
    for index, side in enumerate(figures[0].sides):
        points = sorted(
            zip(places, (f.sides[side].speed for f in figures), strict=True), key=lambda p: p[0]
        )
        speeds = [speed for _, speed in points]
        axes.errorbar(
            [place for place, _ in points],
            [speed.median for speed in speeds],
            yerr=_errors(speeds),
            label=side_name(side),
            color=_COLOURS[index],
            marker=_MARKERS[index],
            ms=4,
            capsize=2,
        )
    axes.set_ylim(bottom=0)


def _at(results: Results, holds: Callable[[Decode], bool]) -> list[OfflineFigure]:
    return [f for f in results.offline if isinstance(f.measure, Decode) and holds(f.measure)]


def _errors(speeds: Sequence[Measured]) -> list[list[float]]:
    """Distances of low and high from the median, as matplotlib wants them."""
    return [
        [speed.median - speed.low for speed in speeds],
        [speed.high - speed.median for speed in speeds],
    ]


def _logarithmic(axes: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic axis that names exactly what was measured."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.set_axisbelow(True)


def _plain_numbers(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 of every power of ten, written out."""
    axis.set_major_locator(_library().ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def _library() -> Any:
    """matplotlib, without its global state."""
    try:
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError:
        raise MissingPackages("plots", "matplotlib", "bench") from None
    return matplotlib


def _spread_of(results: Results) -> str:
    return f"Medians of {results.protocol.rounds} rounds, with the lowest and the highest."


def _circumstances(results: Results) -> str:
    model, machine = results.model, results.machine
    return (
        f"{model.name}, {model.target}, {results.protocol.threads} threads."
        f" {machine.cpu}, {results.date[:10]}."
    )

"""Every plot that results have figures for, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferflux.bench.report import offline_plots
from inferflux.bench.report.roofline_plot import draw_roofline
from inferflux.bench.report.serving_plot import draw_serving
from inferflux.bench.report.style import INK, STYLE, library
from inferflux.bench.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS: Final = ("png", "svg")
_DPI: Final = 160

Draw = Callable[["Figure", Results], str]  # gives what its footer says of the figures


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw every plot; gives the files."""
    return [path for name, plot in _plots(results) for path in _save(name, plot, results, folder)]


def _plots(results: Results) -> Iterator[tuple[str, Draw]]:
    """The plots by the names of their files."""
    if offline_plots.by_depth(results):
        yield "decode", offline_plots.draw_decode
    if offline_plots.by_streams(results):
        yield "depth", offline_plots.draw_depth
    if offline_plots.prefills(results):
        yield "prefill", offline_plots.draw_prefill
    if results.serving is not None and results.serving.loads:
        yield "serving", draw_serving
    if results.roofline is not None:
        yield "roofline", draw_roofline


def _save(name: str, plot: Draw, results: Results, folder: Path) -> Iterator[Path]:
    matplotlib = library()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):  # same results, same bytes
        figure = matplotlib.figure.Figure(layout="constrained")
        footer = f"{plot(figure, results)}\n{_circumstances(results)}"
        figure.supxlabel(footer, fontsize=6.5, color=INK, x=0.01, ha="left")
        for suffix in _FORMATS:
            path = folder / f"{name}.{suffix}"
            figure.savefig(path, dpi=_DPI, metadata={"Date": None} if suffix == "svg" else None)
            yield path


def _circumstances(results: Results) -> str:
    model, machine = results.model, results.machine
    return (
        f"{model.name}, {model.target}, {results.protocol.threads} threads."
        f" {machine.cpu}, {results.date[:10]}."
    )

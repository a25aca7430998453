"""How every plot looks, and what several of them need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from inferflux.bench.figures import Figure as Measured
from inferflux.bench.results import Results
from inferflux.errors import MissingPackages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

INK: Final = "#444444"
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito's
_MARKERS: Final = ("o", "s", "^", "D", "v")
STYLE: Final[dict[str, Any]] = {
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
}


def library() -> Any:
    """matplotlib, without its global state."""
    try:
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError:
        raise MissingPackages("plots", "matplotlib", "bench") from None
    return matplotlib


def look(index: int) -> dict[str, Any]:
    """Colour and marker of the index-th thing that is compared: eyes tell them apart."""
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "marker": _MARKERS[index % len(_MARKERS)],
    }


def errors(speeds: Sequence[Measured]) -> list[list[float]]:
    """Distances of low and high from the median, as matplotlib wants them."""
    return [
        [speed.median - speed.low for speed in speeds],
        [speed.high - speed.median for speed in speeds],
    ]


def name_what_was_measured(axes: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic axis with a tick for exactly each of ``ticks``."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.set_axisbelow(True)


def plain_numbers(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 of every power of ten, written out."""
    axis.set_major_locator(library().ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def spread_of(results: Results) -> str:
    return f"Medians of {results.protocol.rounds} rounds, with the lowest and the highest."

"""The plot of phases below the roofs of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferflux.bench.report.style import INK, look, plain_numbers
from inferflux.bench.report.table import counted
from inferflux.bench.results import Results
from inferflux.bench.roofline import PhaseFigure, RoofFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":", "-.")


def draw_roofline(figure: Figure, results: Results) -> str:
    """Speed over intensity, both logarithmic; attention has no multiply-adds and is not shown."""
    assert results.roofline is not None, "asked only where there is one"
    found = results.roofline
    phases = [phase for phase in found.phases if phase.multiply_adds]
    figure.set_size_inches(6.4, 4.4)
    axes = figure.subplots()
    for index, num_tokens in enumerate(sorted({phase.num_tokens for phase in phases})):
        chosen = [phase for phase in phases if phase.num_tokens == num_tokens]
        speeds = [phase.compute_speed / 1e9 for phase in chosen]
        label = counted(num_tokens, "token")
        axes.scatter(list(map(_intensity, chosen)), speeds, s=18, label=label, **look(index))
    _draw_roofs(axes, found.roofs, phases)
    axes.set(xscale="log", yscale="log", title="Roofline")
    axes.set(xlabel="multiply-adds per byte of weights", ylabel="GMAC/s")
    for axis in (axes.xaxis, axes.yaxis):
        plain_numbers(axis)
    axes.grid(which="major")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=7, loc="lower right")
    return f"Reading: {found.roofs.read / 1e9:.1f} GB/s over {found.read_bytes >> 20} MB."


def _draw_roofs(axes: Axes, roofs: RoofFigures, phases: Sequence[PhaseFigure]) -> None:
    """For each arithmetic: up with the speed of reading, then level."""
    intensities = list(map(_intensity, phases))
    first, last = min(intensities) / 2, max(intensities) * 2
    for (name, roof), line in zip(roofs.computing.items(), _LINES, strict=False):
        corner = min(max(roof / roofs.read, first), last)
        heights = [min(roofs.read * at, roof) / 1e9 for at in (first, corner, last)]
        axes.plot((first, corner, last), heights, line, color=INK, lw=1, label=f"roof, {name}")


def _intensity(phase: PhaseFigure) -> float:
    return phase.multiply_adds / phase.bytes_read

"""Results as Markdown: tables, and below them all that is needed to judge them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from inferflux.bench.figures import Figure
from inferflux.bench.results import Results
from inferflux.bench.roofline import PhaseFigure, RoofFigures, RooflineResults
from inferflux.bench.rounds import OfflineFigure
from inferflux.bench.serving.run import ServingResults
from inferflux.bench.serving.summary import LoadFigure, Percentiles
from inferflux.bench.startup import StartupFigure

_SIDES = {"inferflux": "InferFlux"}
_DOORS = {"grpc": "gRPC", "http": "HTTP"}


def markdown(results: Results) -> str:
    """Every part that was measured, each under a line that says what the numbers are."""
    return "\n\n".join(_parts(results)) + "\n"


PARTIAL = "This run was broken off: rounds or whole parts of what was asked for are missing."


def _parts(results: Results) -> Iterator[str]:
    if results.partial:
        yield f"**{PARTIAL}**"
    if results.offline:
        yield _offline_line(results)
        yield _offline(results.offline)
    if results.serving is not None:
        yield from _serving(results.serving)
    if results.startup is not None:
        yield "Seconds from the start of the server's process to its first token."
        yield _startup(results.startup)
    if results.roofline is not None:
        yield _roofline_line(results.roofline)
        yield _roofline(results.roofline)
    yield _provenance(results)


def _offline_line(results: Results) -> str:
    others = [side_name(name) for name in results.offline[0].ratios]
    best = ", ".join(
        f"{name} at the best of its settings" for name in others if name == "llama.cpp"
    )
    line = f"Tokens per second, {results.model.name}, {results.protocol.threads} threads"
    return f"{line}; {best}." if best else f"{line}."


def _offline(figures: Sequence[OfflineFigure]) -> str:
    ours, *others = figures[0].sides
    compared = [name for other in others for name in (side_name(other), "ratio (low-high)")]
    rows = [[_label(figure, figures), *_speeds(figure)] for figure in figures]
    return table(["", side_name(ours), *compared], rows)


def _speeds(figure: OfflineFigure) -> Iterator[str]:
    ours = next(iter(figure.sides))
    yield number(figure.sides[ours].speed.median)
    for name, ratio in figure.ratios.items():
        yield number(figure.sides[name].speed.median)
        yield spread(ratio)


def _label(figure: OfflineFigure, figures: Sequence[OfflineFigure]) -> str:
    """The depth is said where there are several."""
    depths = {getattr(other.measure, "depth", None) for other in figures} - {None}
    text = str(figure.measure)
    return text if len(depths) > 1 else text.partition(",")[0]


def _serving(serving: ServingResults) -> Iterator[str]:
    if serving.streams:
        yield "Streams served at once, tokens per second while all of them decode."
        rows = [
            [
                f"{door_name(figure.door)}, {counted(figure.measure.streams, 'stream')}",
                spread(figure.speed, number),
                "" if figure.share is None else f"{figure.share:.2f}",
            ]
            for figure in serving.streams
        ]
        yield table(["", "tok/s (low-high)", "of offline"], rows)
    if serving.loads:
        yield _loads_line(serving)
        header = ["", "tok/s", "requests/s", "good", "TTFT ms", "TPOT ms", "ITL ms"]
        yield table(header, [_load(figure) for figure in serving.loads])


def _loads_line(serving: ServingResults) -> str:
    slo = serving.loads[0].slo
    return (
        f"Requests of {serving.prompt_tokens} prompt tokens and at most {serving.output_tokens}"
        " output tokens; times are p50 / p95 / p99; good is a TTFT of"
        f" {1000 * slo.ttft:g} ms and a TPOT of {1000 * slo.tpot:g} ms at most."
    )


def _load(figure: LoadFigure) -> list[str]:
    rates = (number(figure.throughput), f"{figure.answered:.2f}", f"{figure.goodput:.2f}")
    times = (_milliseconds(times) for times in (figure.ttft, figure.tpot, figure.itl))
    return [f"{door_name(figure.door)}, {figure.load}", *rates, *times]


def _startup(figure: StartupFigure) -> str:
    rows = [[side_name(name), spread(side)] for name, side in figure.sides.items()]
    if figure.ratio is not None:
        rows.append(["ratio", spread(figure.ratio)])
    return table(["", "s (low-high)"], rows)


def _roofline_line(found: RooflineResults) -> str:
    roofs = found.roofs
    computing = ", ".join(f"{name} {speed / 1e9:.0f}" for name, speed in roofs.computing.items())
    return (
        f"Phases by themselves. Roofs, measured: reading {roofs.read / 1e9:.1f} GB/s (over"
        f" {found.read_bytes >> 20} MB); GMAC/s of {computing}."
    )


def _roofline(found: RooflineResults) -> str:
    header = ["", "tokens", "us", "GB/s", "of roof", "GMAC/s", "of roof"]
    return table(header, [_phase(phase, found.roofs) for phase in found.phases])


def _phase(phase: PhaseFigure, roofs: RoofFigures) -> list[str]:
    reading, computing = phase.shares(roofs)
    read = (f"{phase.read_speed / 1e9:.1f}", f"{reading:.2f}")
    compute = (f"{phase.compute_speed / 1e9:.1f}", f"{computing:.2f}")
    counts = (str(phase.num_tokens), number(1e6 * phase.seconds))
    return [phase.name, *counts, *read, *(compute if phase.multiply_adds else ("", ""))]


def _provenance(results: Results) -> str:
    model, protocol = results.model, results.protocol
    versions = "; ".join(
        f"{side_name(side)}: {', '.join(f'{name} {text}' for name, text in named.items())}"
        for side, named in results.versions.items()
    )
    return (
        f"Measured by `{results.command}` on {results.date[:10]}, medians of {protocol.rounds}"
        f" rounds, on {results.machine}; target `{model.target}`, numerics {model.numerics},"
        f" {model.kv_dtype} KV."
        f" {versions}."
    )


def side_name(name: str) -> str:
    """As a reader knows it."""
    return _SIDES.get(name, name)


def door_name(name: str) -> str:
    """As a reader knows it."""
    return _DOORS.get(name, name)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: a name in the first column, numbers in the others."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def counted(count: int, thing: str) -> str:
    """`1 stream`, `2 streams`"""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def number(value: float) -> str:
    """Whole from a hundred up, with one decimal below."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def spread(figure: Figure, form: Callable[[float], str] = "{:.2f}".format) -> str:
    """`2.15 (2.08-2.21)`"""
    return f"{form(figure.median)} ({form(figure.low)}-{form(figure.high)})"


def _milliseconds(times: Percentiles | None) -> str:
    if times is None:
        return ""
    return " / ".join(f"{1000 * seconds:.1f}" for seconds in (times.p50, times.p95, times.p99))

"""`inferflux tune`: measure how each phase of a model is best cut, and keep what was found."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferflux.cli.options import AsJson, KVDtype, Numerics, Targets, Threads
from inferflux.cli.sizes import parse_duration

if TYPE_CHECKING:
    from inferflux.cli.tuning import TunedTarget

Budget = Annotated[
    float | None,
    typer.Option(
        parser=parse_duration, metavar="TIME", help="Stop after 90s, 5m, 1h; the next run goes on."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder of records; one in the cache if not given."),
]


def tune(
    model: Annotated[str, typer.Argument(help="Model name or .gguf file.")],
    target: Targets = None,
    budget: Budget = None,
    output: Folder = None,
    threads: Threads = None,
    numerics: Numerics = "default",
    kv_dtype: KVDtype = "f16",
    json: AsJson = False,
) -> None:
    """Measure how the phases of a model are best cut on this machine, and record it."""
    from inferflux.cli.progress import build_progress
    from inferflux.cli.tuning import TuneOptions, tune_targets

    options = TuneOptions(tuple(target or ()), numerics, kv_dtype, budget, output, threads)
    with build_progress() as report:
        tuned = tune_targets(model, options, report)
    if json:
        _print_json(tuned)
    else:
        _print(tuned)


def _print(tuned: list[TunedTarget]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for each in tuned:
        table = Table(each.target, box=None, header_style="dim", pad_edge=False)
        for title in ("schedule", "us", "default"):
            table.add_column(title, justify="left" if title == "schedule" else "right")
        for record in each.tuned.measured:
            phase = f"{record.key.op} {record.key.shape}, {record.num_tokens} tokens"
            cut = " ".join(f"{name}={value}" for name, value in sorted(record.schedule.items()))
            table.add_row(phase, cut, f"{record.median_us:.1f}", f"{record.default_us:.1f}")
        console.print(table)
        console.print(each.summary(), style="dim", soft_wrap=True)


def _print_json(tuned: list[TunedTarget]) -> None:
    import orjson

    found = [
        {
            "target": each.target,
            "file": str(each.path),
            "measured": [asdict(record) for record in each.tuned.measured],
            "kept": each.tuned.num_kept,
            "left": each.tuned.num_left,
        }
        for each in tuned
    ]
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())

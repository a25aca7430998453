"""`inferflux report`: plots and a table from a results file of the bench, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    results: Annotated[Path, typer.Argument(help="What `inferflux bench --json` wrote.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the plots and table.md.")
    ] = Path("report"),
    readme: Annotated[
        Path | None, typer.Option(help="Write the table into this document too, between its marks.")
    ] = None,
) -> None:
    """Make plots (PNG and SVG) and a Markdown table of a bench's results."""
    from inferflux.bench.report.document import put_into
    from inferflux.bench.report.plots import draw
    from inferflux.bench.report.table import markdown
    from inferflux.bench.results import read

    found = read(results)
    text = markdown(found)
    output.mkdir(parents=True, exist_ok=True)
    plots = draw(found, output)
    (output / "table.md").write_text(text)
    for path in (*plots, output / "table.md"):
        typer.echo(str(path))
    if readme is not None:
        put_into(readme, text)
        typer.echo(str(readme))

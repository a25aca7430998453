"""The report of a small results file."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs
from typer.testing import CliRunner

from inferflux.bench.report.document import BEGIN, END, put_into
from inferflux.bench.report.plots import draw
from inferflux.bench.report.table import markdown
from inferflux.bench.results import Results, read
from inferflux.cli.inferflux import app
from inferflux.errors import InvalidArgument, MissingPackages

PLOTS = ("decode", "depth", "prefill", "roofline", "serving")


@pytest.fixture
def results(results_file: Path) -> Results:
    return read(results_file)


def test_the_table_of_a_results_file(results: Results, golden: Callable[[str, str], None]) -> None:
    golden("table.md", markdown(results))


def test_a_run_that_was_broken_off_is_called_so(results: Results) -> None:
    assert "broken off" not in markdown(results)
    text = markdown(structs.replace(results, partial=True))
    assert text.startswith("**This run was broken off: ")


def test_what_was_not_measured_is_not_mentioned(results: Results) -> None:
    offline = structs.replace(results, serving=None, startup=None, roofline=None)
    text = markdown(offline)
    assert "TTFT" not in text
    assert "first token" not in text
    assert "Roofs" not in text


def test_every_plot_is_a_png_and_an_svg(results: Results, tmp_path: Path) -> None:
    draw(results, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{plot}.{suffix}" for plot in PLOTS for suffix in ("png", "svg")}
    for plot in PLOTS:
        width, height = struct.unpack(">II", (tmp_path / f"{plot}.png").read_bytes()[16:24])
        assert width > 600
        assert height > 400
        svg = (tmp_path / f"{plot}.svg").read_text()
        assert "<svg" in svg


def test_the_same_results_give_the_same_svg(results: Results, tmp_path: Path) -> None:
    texts = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        draw(results, folder)
        texts.append((folder / "decode.svg").read_bytes())
    assert texts[0] == texts[1]


def test_one_depth_and_no_server_give_no_plot_of_them(results: Results, tmp_path: Path) -> None:
    alone = [figure for figure in results.offline if figure.key in ("prefill_128", "decode_x1@128")]
    offline = structs.replace(results, offline=alone, serving=None, roofline=None)
    paths = draw(offline, tmp_path)
    assert {path.stem for path in paths} == {"prefill"}


def test_depths_that_share_no_number_of_streams_give_no_curve(
    results: Results, tmp_path: Path
) -> None:
    apart = [f for f in results.offline if f.key in ("decode_x4@128", "decode_x1@7936")]
    assert (
        draw(structs.replace(results, offline=apart, serving=None, roofline=None), tmp_path) == []
    )


def test_without_matplotlib_the_extra_is_named(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackages, match=r"inferflux\[bench\]"):
        draw(results, tmp_path)


def test_a_document_keeps_all_but_what_stands_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{BEGIN}\nold\n{END}\n\nmore\n")
    put_into(page, "| new |\n")
    assert page.read_text() == f"# Page\n\n{BEGIN}\n| new |\n{END}\n\nmore\n"


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    with pytest.raises(InvalidArgument, match="has no lines"):
        put_into(page, "| new |\n")
    assert page.read_text() == "# Page\n"


def test_one_command_makes_all_of_it(results_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    folder = tmp_path / "out"
    options = ["report", str(results_file), "-o", str(folder), "--readme", str(page)]
    said = CliRunner().invoke(app(), options)
    assert said.exit_code == 0, said.output
    assert len(list(folder.iterdir())) == 2 * len(PLOTS) + 1
    assert (folder / "table.md").read_text() in page.read_text()

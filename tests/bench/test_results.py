"""The results file, written and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.bench.results import InvalidResults, encode, read


def test_a_file_that_holds_no_results_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"format": 1}')
    with pytest.raises(InvalidResults, match=r"other\.json holds no results.*command"):
        read(path)


def test_what_is_written_is_read(results_file: Path, tmp_path: Path) -> None:
    results = read(results_file)
    copy = tmp_path / "copy.json"
    copy.write_text(encode(results))
    assert read(copy) == results


def test_another_format_is_refused(results_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(results_file.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(InvalidResults, match="is of format 99, this version reads 1"):
        read(path)


def test_speeds_are_our_medians_by_key(results_file: Path) -> None:
    speeds = read(results_file).speeds()
    assert speeds["decode_x1@128"] == 240.0

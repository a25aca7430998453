"""`inferflux bench` refuses what it cannot do before it measures anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from msgspec import structs
from typer.testing import CliRunner

from inferflux.bench import results
from inferflux.bench.errors import PeerUnavailable
from inferflux.bench.run import Found
from inferflux.cli.bench_lists import parse_rates, parse_streams
from inferflux.cli.inferflux import app
from inferflux.errors import InvalidArgument


@pytest.fixture
def results_file() -> Path:
    """A small file of results, of made-up figures."""
    return Path(__file__).parents[1] / "bench" / "results.json"


def refusal(*options: str) -> BaseException | None:
    return CliRunner().invoke(app(), ["bench", *options]).exception


def test_streams_are_counts_each_with_a_depth_of_its_own_or_none() -> None:
    parsed = parse_streams("1, 16,1@7936")
    assert parsed == ((1, None), (16, None), (1, 7936))
    assert str(parsed) == "1,16,1@7936"
    assert parse_streams("") == ()


@pytest.mark.parametrize("text", ["0", "1@", "@8", "1@0", "many", "-1", "1@2@3"])
def test_what_is_no_number_of_streams_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="number of streams"):
        parse_streams(text)


def test_rates_are_positive_and_finite() -> None:
    assert parse_rates("0.5,2") == (0.5, 2.0)
    assert str(parse_rates("0.5,2")) == "0.5,2"
    for text in ("0", "-1", "inf", "nan", "fast"):
        with pytest.raises(typer.BadParameter, match="list of rates"):
            parse_rates(text)


def test_an_unknown_peer_is_refused_by_name(tmp_path: Path) -> None:
    error = refusal(str(tmp_path / "model.gguf"), "--against", "fastest.cpp")
    assert isinstance(error, InvalidArgument)
    assert "fastest.cpp" in str(error)


def test_a_python_without_the_binding_is_refused_first(tmp_path: Path) -> None:
    options = ("--against", "llama.cpp", "--peer-python", str(tmp_path / "python"))
    error = refusal(str(tmp_path / "model.gguf"), *options)
    assert isinstance(error, PeerUnavailable)
    assert str(tmp_path / "python") in str(error)


@pytest.mark.parametrize("option", ["--roofline", "--llama-server=server"])
def test_what_needs_the_model_file_takes_no_artifact(option: str) -> None:
    error = refusal("model.ifx", option)
    assert isinstance(error, InvalidArgument)
    assert "needs the model file" in str(error)


def test_a_peer_that_reads_gguf_only_takes_no_directory(
    tiny_directory: Callable[..., Path],
) -> None:
    error = refusal(str(tiny_directory()), "--llama-server=server")
    assert isinstance(error, InvalidArgument)
    assert "reads GGUF only" in str(error)


def test_a_run_that_is_interrupted_keeps_what_it_has(
    results_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is there after every round, and what it holds is printed."""
    whole, path = results.read(results_file), tmp_path / "results.json"

    def run(subject: object, plan: object, found: Found, on_progress: object) -> None:
        found.add(offline=whole.offline[:1], versions=whole.versions)
        assert results.read(path).partial
        raise KeyboardInterrupt

    begun = structs.replace(whole, offline=[], serving=None, startup=None, roofline=None)
    monkeypatch.setattr(results, "begin", lambda *_: structs.replace(begun, partial=True))
    monkeypatch.setattr("inferflux.bench.run.run", run)
    monkeypatch.setattr("inferflux.cli.build.artifact_for", lambda *_: Path("model.ifx"))
    monkeypatch.setattr("inferflux.bench.offline.Subject.of", lambda *_: None)
    said = CliRunner().invoke(app(), ["bench", "model.gguf", "--json", str(path)])
    assert said.exit_code != 0
    assert whole.offline[0].key in said.output
    assert "broken off" in said.output
    kept = results.read(path)
    assert (kept.partial, kept.offline) == (True, whole.offline[:1])

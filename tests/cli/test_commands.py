"""What every command does alike: help, exit codes, one line per failure, clean ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import typer

from inferflux.cli import errors
from inferflux.errors import InferFluxError

COMMANDS = {
    "inferflux": ("compile", "tune", "inspect", "run", "serve", "bench", "report"),
    "inferctl": ("pull", "models", "rm", "gc", "synth"),
}
HEAVY = ("numpy", "tvm", "tokenizers", "grpc", "starlette", "msgspec", "uvloop")
WriteTiny = Callable[..., Path]


@pytest.fixture
def variables(tmp_path: Path) -> Mapping[str, str]:
    return {**os.environ, "INFERFLUX_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}


def run(
    program: str, *arguments: str | Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    start = f"from inferflux.cli.{program} import main; main()"
    command = [sys.executable, "-c", start, *map(str, arguments)]
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("program", COMMANDS)
def test_help_lists_every_command(program: str) -> None:
    said = run(program, "--help")
    assert said.returncode == 0
    assert all(f" {command} " in said.stdout for command in COMMANDS[program])


@pytest.mark.parametrize("program", COMMANDS)
def test_help_imports_nothing_heavy(program: str) -> None:
    """What a command needs is imported when it runs: `--help` answers in a moment."""
    load = f"import sys, inferflux.cli.{program}; print({set(HEAVY)} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "arguments",
    [
        ("inferflux", "compile"),
        ("inferflux", "nonesuch"),
        ("inferflux", "run", "m", "hi", "--kv-bytes", "much"),
        ("inferflux", "run", "m", "hi", "--temperature", "-1"),
        ("inferflux", "bench", "m", "--streams", "0"),
        ("inferflux", "compile", "m", "--numerics", "float8"),
        ("inferctl", "pull"),
    ],
)
def test_wrong_usage_ends_with_two(arguments: tuple[str, ...]) -> None:
    said = run(*arguments)
    assert said.returncode == 2
    assert said.stdout == ""
    assert "Usage:" in said.stderr


def test_a_model_that_is_not_there_is_one_line_and_a_hint(variables: Mapping[str, str]) -> None:
    said = run("inferflux", "run", "nonesuch", "hi", variables=variables)
    assert said.returncode == 1
    assert said.stdout == ""
    error, hint = said.stderr.splitlines()
    assert error.startswith("error: no model 'nonesuch'")
    assert hint.startswith("  hint: ")


def test_an_unknown_target_is_refused_by_name(
    variables: Mapping[str, str], tiny_gguf: WriteTiny
) -> None:
    said = run("inferflux", "compile", tiny_gguf(), "--target", "cpu:z80", variables=variables)
    assert said.returncode == 2
    assert "'cpu:z80'" in said.stderr
    assert "cpu:portable" in said.stderr


def test_a_damaged_model_is_refused_without_a_traceback(
    variables: Mapping[str, str], tiny_gguf: WriteTiny
) -> None:
    model = tiny_gguf()
    model.write_bytes(model.read_bytes()[:200])
    said = run("inferflux", "inspect", model, variables=variables)
    assert said.returncode == 1
    assert str(model) in said.stderr
    assert "Traceback" not in said.stderr


def test_a_place_that_may_not_be_written_is_named_before_anything_is_compiled(
    variables: Mapping[str, str], tiny_gguf: WriteTiny, tmp_path: Path
) -> None:
    said = run("inferflux", "compile", tiny_gguf(), "-o", tmp_path, variables=variables)
    assert said.returncode == 2
    assert "is a folder" in said.stderr


def test_an_artifact_is_not_compiled_again() -> None:
    said = run("inferflux", "compile", "model.ifx")
    assert said.returncode == 2
    assert "compiled already" in said.stderr


def test_a_reader_that_leaves_ends_the_command_quietly(
    variables: Mapping[str, str], tiny_gguf: WriteTiny
) -> None:
    start = "from inferflux.cli.inferflux import main; main()"
    command = [sys.executable, "-c", start, "inspect", str(tiny_gguf(layer_types=("f32",) * 300))]
    with subprocess.Popen(
        [*command, "--graph", "before"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        said = process.stderr.read()
        process.wait(60)
    assert said == b""


def test_an_interrupt_ends_the_command_without_a_traceback() -> None:
    program = (
        "import os, signal, typer\n"
        "from inferflux.cli import errors\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def wait() -> None:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.pause()\n"
        "errors.run(app)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 128 + signal.SIGINT
    assert "Traceback" not in said.stderr


def test_a_store_with_nothing_in_it_is_an_empty_list(variables: Mapping[str, str]) -> None:
    said = run("inferctl", "models", "--json", variables=variables)
    assert said.returncode == 0
    assert json.loads(said.stdout) == []


def test_an_error_cannot_speak_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise InferFluxError("tensor '\x1b[2J\x07'\nis too large")

    monkeypatch.setattr(sys, "argv", ["fail"])
    with pytest.raises(SystemExit) as ended:
        errors.run(app)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: tensor '\\x1b[2J\\x07' is too large\n"

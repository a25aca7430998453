"""A start imports what it needs: whoever adds a heavy import sees it here, without a clock."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

_IMPORTED = re.compile(r"^import time:.*\| +([\w.]+)$", re.MULTILINE)

# What neither process of a server may have imported by its first token.
NOT_BY_EITHER = {
    "IPython",
    "jinja2",
    "inferflux.bench",
    "inferflux.cli.bench",
    "inferflux.cli.build",
    "inferflux.codegen.build",
    "inferflux.ir",
    "inferflux.kernels",
    "matplotlib",
    "prometheus_client",
    "pydantic",
    "rich",
    "torch._C",  # `torch` itself is listed where it was looked for and hidden
    "tvm",
    "unittest",
    "wsgiref",
}
# What only the other process needs.
NOT_BY_THE_ENGINE = {
    "asyncio",
    "google.protobuf",
    "grpc",
    "inferflux.server",
    "inferflux.text",
    "starlette",
    "tokenizers",
    "typer",
    "uvicorn",
}
NOT_BY_THE_DOORS = {"inferflux.engine.engine", "inferflux.engine.runtime", "numpy", "tvm_ffi"}
DOORS = (
    "import inferflux.__main__, inferflux.cli.inferflux, inferflux.server.app\n"
    "import inferflux.server.serving\n"
    "inferflux.cli.inferflux.app(['serve'])"
)
ENGINE = "import inferflux.engine.worker, inferflux.engine.loading, inferflux.engine.runtime.cpu"


def imported_by(program: str) -> set[str]:
    listing = f"import sys\n{program}\nprint(*sys.modules)"
    command = [sys.executable, "-P", "-c", listing]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [(DOORS, NOT_BY_EITHER | NOT_BY_THE_DOORS), (ENGINE, NOT_BY_EITHER | NOT_BY_THE_ENGINE)],
    ids=["doors", "engine"],
)
def test_a_process_imports_nothing_of_the_other_one(program: str, unwanted: set[str]) -> None:
    assert imported_by(program) & unwanted == set()


def test_a_first_token_is_served_without_what_later_requests_need(
    inferflux: Callable[..., Any],
    start_server: Callable[..., Any],
    variables: Mapping[str, str],
    talkative: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both processes list their imports on the stderr that they share."""
    artifact = tmp_path / "talkative.ifx"
    assert inferflux("compile", talkative, "-o", artifact).returncode == 0
    monkeypatch.setitem(variables, "PYTHONPROFILEIMPORTTIME", "1")
    server = start_server(artifact, "--kv-bytes", "16MB")
    asked = {"model": server.model, "prompt": "once", "max_tokens": 1}
    httpx.post(f"{server.http}/v1/completions", json=asked).raise_for_status()
    imported = set(_IMPORTED.findall(capfd.readouterr().err))
    assert {"numpy", "starlette"} <= imported, "the listing has both processes"
    assert imported & NOT_BY_EITHER == set()
    httpx.get(f"{server.http}/metrics").raise_for_status()
    assert "prometheus_client" in _IMPORTED.findall(capfd.readouterr().err), "it would be seen"

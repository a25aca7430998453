"""Start-up, of servers that are a few lines of Python."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from inferflux.bench.errors import BenchFailed, PeerUnavailable
from inferflux.bench.startup import (
    Starter,
    StartupFigure,
    llama_starters,
    measure_startup,
    seconds_to_first_token,
)

# Loading for a while (503, as llama.cpp says it), then one token.
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
left = [int(sys.argv[2])]
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        left[0] -= 1
        body = b'data: {"choices": [{"text": "a"}]}\\n\\n' if left[0] < 0 else b"loading"
        self.send_response(200 if left[0] < 0 else 503)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def starter(refusals: int = 0, program: str = SERVER) -> Starter:
    def command(port: int) -> Sequence[str]:
        return [sys.executable, "-c", program, str(port), str(refusals)]

    return Starter(command, "any")


def test_a_server_is_asked_until_it_has_its_model() -> None:
    assert 0 < seconds_to_first_token(starter(refusals=3)) < 60


def test_the_first_start_of_each_is_not_counted_and_ours_is_set_against_the_fastest() -> None:
    heard: list[str] = []
    sides = {"inferflux": starter(), "other": starter(), "slow": starter(refusals=40)}
    kept: list[StartupFigure] = []
    measure_startup(sides, 1, lambda stage, fraction: heard.append(stage), kept.append)
    (figure,) = kept
    assert heard == ["start inferflux", "start other", "start slow"] * 2
    assert all(len(side.runs) == 1 for side in figure.sides.values())
    assert figure.ratio is not None
    fastest = min(figure.sides[name].median for name in ("other", "slow"))
    ours = figure.sides["inferflux"].median
    assert figure.ratio.median == pytest.approx(ours / fastest, rel=1e-3)


def test_a_server_that_ends_instead_of_serving_is_quoted() -> None:
    failing = starter(program="import sys; print('no such model'); sys.exit(3)")
    with pytest.raises(BenchFailed, match="ended with status 3: no such model"):
        seconds_to_first_token(failing)


def test_a_peer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match=r"llama-server is no file"):
        llama_starters(tmp_path / "llama-server", tmp_path / "model.gguf", 2)

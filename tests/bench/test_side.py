"""A side in a process: what it is asked, and how it is said that it died."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferflux.bench.errors import BenchFailed, PeerUnavailable
from inferflux.bench.measures import Decode, Prefill
from inferflux.bench.peers.llama import llama_side, require_binding
from inferflux.bench.side import WorkerSide
from inferflux.errors import InvalidArgument

WORKER = """
import json, sys
print(json.dumps({"versions": {"fake": "1", "pid": str(__import__("os").getpid())}}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if "prepare" in request:
        asked = request["prepare"]
        if asked.get("prefill") == 13:
            sys.exit("out of luck")
        if asked.get("prefill") == 14:
            print(json.dumps({"error": "too unlucky"}), flush=True)
        print("{}", flush=True)
    else:
        print(json.dumps({"speed": asked.get("prefill") or asked["streams"] * asked["depth"]}),
              flush=True)
"""


@pytest.fixture
def side() -> Iterator[WorkerSide]:
    made = WorkerSide("fake", [sys.executable, "-c", WORKER])
    yield made
    made.close()


def state_of(pid: str) -> str:
    """As Linux names it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_side_is_told_the_measure_and_answers_with_a_speed(side: WorkerSide) -> None:
    side.prepare(Prefill(7), {})
    assert side.run() == 7.0
    side.prepare(Decode(3, 100, 4), {})
    assert side.run() == 300.0


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="this system has no /proc")
def test_a_side_that_is_not_asked_is_stopped(side: WorkerSide) -> None:
    assert state_of(side.versions["pid"]) == "T"
    side.prepare(Prefill(7), {})
    assert state_of(side.versions["pid"]) == "T"


def test_a_side_that_dies_is_quoted(side: WorkerSide) -> None:
    with pytest.raises(BenchFailed, match="fake ended with status 1; it said: out of luck"):
        side.prepare(Prefill(13), {})


def test_an_error_that_a_side_reports_is_raised_with_its_name(side: WorkerSide) -> None:
    with pytest.raises(BenchFailed, match="fake: too unlucky"):
        side.prepare(Prefill(14), {})


def test_a_python_without_the_binding_is_told_how_to_get_it(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho \"No module named 'llama_cpp'\" >&2\nexit 1\n")
    bare.chmod(0o755)
    with pytest.raises(PeerUnavailable, match=r"No module named 'llama_cpp'.*pip install"):
        require_binding(str(bare))
    with pytest.raises(PeerUnavailable, match="cannot be run"):
        require_binding(str(tmp_path / "nowhere"))


def test_llama_cpp_is_given_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"only \.gguf"):
        llama_side(sys.executable, tmp_path / "model.ifx", 1)

"""Busy loops beside a side: there while it runs, gone when it does not."""

from __future__ import annotations

import os
import sys

import pytest

from inferflux.bench.measures import Prefill
from inferflux.bench.neighbours import DisturbedSide, neighbours
from inferflux.bench.side import WorkerSide

# Answers with the number of loops that its parent runs while it is asked.
COUNTING = """
import json, os, pathlib, sys
print(json.dumps({"versions": {}}), flush=True)
def loops():
    found = 0
    for at in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((at / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (at / "cmdline").read_bytes().split(b"\\0")
            found += parent == os.getppid() and b"while True: pass" in arguments
        except OSError:
            pass
    return found
for line in sys.stdin:
    print(json.dumps({"speed": loops()} if "run" in line else {}), flush=True)
"""


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_loops_end_with_their_block() -> None:
    with neighbours(2) as running:
        assert len(running) == 2
        assert all(map(is_alive, running))
    assert not any(map(is_alive, running))


def test_loops_end_when_what_they_disturb_fails() -> None:
    seen: list[int] = []

    def fail() -> None:
        with neighbours(1) as running:
            seen.extend(running)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not is_alive(seen[0])


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="this system has no /proc")
def test_a_disturbed_side_is_measured_beside_them_and_only_it() -> None:
    plain = WorkerSide("plain", [sys.executable, "-c", COUNTING])
    disturbed = DisturbedSide(WorkerSide("busy", [sys.executable, "-c", COUNTING]), 2)
    for side in (plain, disturbed):
        side.prepare(Prefill(8), {})
    speeds = [plain.run(), disturbed.run(), plain.run()]
    for side in (plain, disturbed):
        side.close()
    assert speeds == [0.0, 2.0, 0.0]

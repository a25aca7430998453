"""Two builds of one model are equal to the byte, whatever surrounds them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ON_CORES = """
import os, sys
cores = sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]
os.sched_setaffinity(0, cores)
del sys.argv[1]
from inferflux.cli.inferflux import main
main()
"""


@pytest.mark.timeout(600)  # four builds, one of each pair on a single core
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_folder_home_hash_seed_cores_and_path_leave_no_trace(
    tiny_gguf: Callable[..., Path], tmp_path: Path
) -> None:
    content = tiny_gguf(layer_types=("q4_1",)).read_bytes()

    def build(name: str, hash_seed: int, num_cores: int) -> bytes:
        folder = tmp_path / name / ("deep" * len(name))
        home = tmp_path / f"home-{name}"
        for made in (folder, home):
            made.mkdir(parents=True)
        (folder / "tiny.gguf").write_bytes(content)
        targets = ("--target", "cpu:portable", "--target", "cpu:avx512")
        ran = subprocess.run(
            [sys.executable, "-c", _ON_CORES, str(num_cores), "compile", "tiny.gguf", *targets],
            cwd=folder,
            env={"PATH": "", "HOME": str(home), "PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return (folder / "tiny.ifx").read_bytes()

    assert build("a", hash_seed=1, num_cores=1) == build("bb", hash_seed=2, num_cores=2)

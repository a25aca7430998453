"""A model file to text: the commands and the Python API, from first use on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import inferflux as package

Command = Callable[..., subprocess.CompletedProcess[str]]
SPEED_LINE = re.compile(
    r"prompt \d+ tokens, prefill [\d.]+ tok/s, TTFT \d+ ms; "
    r"output (\d+) tokens, decode [\d.]+ tok/s"
)


def test_run_streams_text_to_stdout_and_ends_with_its_speed(
    inferflux: Command, talkative: Path
) -> None:
    ran = inferflux("run", talkative, "hello", "--max-tokens", "12", "--threads", "1")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.strip()) > 0
    speed = SPEED_LINE.search(ran.stderr)
    assert speed, ran.stderr
    assert speed[1] == "12"


def test_a_directory_is_run_like_a_file(
    inferflux: Command, tiny_directory: Callable[..., Path]
) -> None:
    folder = tiny_directory(shards=2)
    ran = inferflux("run", folder, "hello", "--max-tokens", "12", "--threads", "1")
    assert ran.returncode == 0, ran.stderr
    assert SPEED_LINE.search(ran.stderr), ran.stderr


def test_a_seed_fixes_the_text_and_another_changes_it(inferflux: Command, talkative: Path) -> None:
    def text(seed: int) -> str:
        sampling = ("--temperature", "1.5", "--seed", str(seed))
        ran = inferflux(
            "run", talkative, "hello", "--max-tokens", "24", "--threads", "1", *sampling
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_the_second_use_compiles_nothing(inferflux: Command, talkative: Path) -> None:
    said = [inferflux("run", talkative, "hi", "--max-tokens", "2").stderr for _ in range(2)]
    assert SPEED_LINE.search(said[1])
    assert "compiling" not in said[1]


def test_other_numerics_are_another_artifact_and_the_miss_says_so(
    inferflux: Command, talkative: Path
) -> None:
    used = [
        inferflux("run", talkative, "hi", "--max-tokens", "2", "--numerics", numerics)
        for numerics in ("default", "float32", "default")
    ]
    assert [ran.returncode for ran in used] == [0, 0, 0]
    assert "numerics changed: 'default' -> 'float32'" in used[1].stderr
    assert "compiling" not in used[2].stderr


def test_an_artifact_runs_without_anything_that_compiles(
    inferflux: Command, variables: Mapping[str, str], talkative: Path, tmp_path: Path
) -> None:
    artifact = tmp_path / "talkative.ifx"
    assert inferflux("compile", talkative, "-o", artifact).returncode == 0
    program = (
        "import sys; sys.modules['tvm'] = None; sys.modules['jinja2'] = None\n"
        "from inferflux.cli.inferflux import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "run", str(artifact), "hi", "--max-tokens", "4"],
        env={**variables, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr


def test_bench_prints_every_measure_and_the_circumstances(
    inferflux: Command, talkative: Path
) -> None:
    options = ("--prefill", "16,64", "--streams", "1,3", "--depth", "16", "--steps", "4")
    ran = inferflux("bench", talkative, "--json", "-", "--threads", "1", *options)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    keys = ["prefill_16", "prefill_64", "decode_x1@16", "decode_x3@16"]
    assert [figure["key"] for figure in result["offline"]] == keys
    speeds = [figure["sides"]["inferflux"]["speed"] for figure in result["offline"]]
    assert all(0 < speed["low"] <= speed["median"] <= speed["high"] for speed in speeds)
    assert result["machine"]["cores"] >= 1
    assert result["model"]["numerics"] == "default"
    assert result["command"].startswith("inferflux bench ")


def test_bench_asks_a_server_of_its_own_over_both_doors(
    inferflux: Command, talkative: Path
) -> None:
    offline = ("--prefill", "", "--streams", "2", "--depth", "16", "--steps", "8", "--rounds", "1")
    loads = ("--at-once", "2", "--clients", "2", "--rates", "50", "--requests", "4")
    sizes = ("--prompt-tokens", "16", "--output-tokens", "8", "--threads", "1")
    ran = inferflux(
        "bench", talkative, "--json", "-", "--serving", "--startup", *offline, *loads, *sizes
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    served = result["serving"]
    assert [streams["door"] for streams in served["streams"]] == ["grpc", "http"]
    assert all(streams["share"] > 0 for streams in served["streams"])
    assert [load["requests"] for load in served["loads"]] == [4] * 4
    assert all(load["throughput"] > 0 and load["refused"] == 0 for load in served["loads"])
    assert result["startup"]["sides"]["inferflux"]["median"] > 0


def test_greedy_text_is_the_best_token_of_the_score_each_time(
    talkative: Path, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERFLUX_CACHE", variables["INFERFLUX_CACHE"])
    with package.load(talkative, numerics="float32", threads=1) as llm:
        prompt = llm.tokenizer.encode("the cat", special=True)
        made = llm.generate(prompt, max_tokens=10).tokens
        scored = llm.score(prompt + made)
    assert scored.shape == (len(prompt) + 10, llm.tokenizer.vocab_size)
    np.testing.assert_allclose(np.exp(scored).sum(axis=1), 1, rtol=1e-4)
    assert scored[len(prompt) - 1 : -1].argmax(axis=1).tolist() == made


def test_the_capital_of_france_is_paris(compiled_default: Callable[..., Path]) -> None:
    with package.load(compiled_default()) as llm:
        assert "Paris" in llm.generate("The capital of France is", max_tokens=5).text

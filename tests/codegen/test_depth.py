"""Compiling does not take longer for more layers: 48 cost hardly more than 12.

By the processor's time of all threads; of some rounds the least, for what else runs adds to it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from inferflux import codegen
from inferflux.bench.synth import Types, shape_named, write_model
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelSource
from tiny import stored
from tiny.depth import write_deep

pytestmark = pytest.mark.oracle

SHALLOW, DEEP = 12, 48
MAX_GROWTH = 1.2
NUM_ROUNDS = 3


@pytest.mark.parametrize(
    "name", ["llama", "qwen3-moe", "gemma3-linear", "deepseek-v3-yarn", "gpt-oss-yarn"]
)
def test_architectures_compile_as_fast_with_more_layers(tmp_path: Path, name: str) -> None:
    kept = stored.load(name)
    folders = [write_deep(tmp_path / str(each), kept, each) for each in (SHALLOW, DEEP)]
    check(*map(frontend.open, folders), numerics="float32")


def test_a_mixture_of_types_compiles_as_fast_with_more_layers(tmp_path: Path) -> None:
    paths = [write_mixture(tmp_path / f"{each}.gguf", each) for each in (SHALLOW, DEEP)]
    check(*map(frontend.open, paths), numerics="default")


def check(shallow: ModelSource, deep: ModelSource, numerics: str) -> None:
    codegen.compile(shallow, numerics=numerics)  # the first imports the toolchain
    rounds = [(seconds(shallow, numerics), seconds(deep, numerics)) for _ in range(NUM_ROUNDS)]
    growth = min(more for _, more in rounds) / min(less for less, _ in rounds)
    assert growth <= MAX_GROWTH, rounds


def seconds(source: ModelSource, numerics: str) -> float:
    start = time.process_time()
    codegen.compile(source, numerics=numerics)
    return time.process_time() - start


def write_mixture(path: Path, num_layers: int) -> Path:
    """Narrow, so that packing its weights is no part of the time to speak of."""
    sizes = {"hidden_size": 256, "intermediate_size": 256, "num_query_heads": 4, "head_dim": 64}
    shape = replace(shape_named("tiny"), num_layers=num_layers, **sizes)
    write_model(path, shape, Types.of("q4_k_m"))
    return path

"""Mutated GGUF files: each opens or is refused with file, field and offset, quickly and cheaply."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError

NUM_MUTANTS = 500
MAX_SECONDS = 2.0
EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)


def mutants(whole: bytes, table_bytes: int, seed: int) -> Iterator[bytes]:
    """Endless and repeatable; all but the cuts hit the header, the metadata or the tensor table."""
    chance = random.Random(seed)
    while True:
        mutant = bytearray(whole)
        at = chance.randrange(table_bytes)
        match chance.randrange(6):
            case 0:
                mutant[at] ^= 1 << chance.randrange(8)
            case 1:
                mutant[at : at + 4] = struct.pack("<I", chance.choice(EXTREMES) & 0xFFFFFFFF)
            case 2:
                mutant[at : at + 8] = struct.pack("<Q", chance.choice(EXTREMES))
            case 3:
                del mutant[at : at + chance.randrange(1, 64)]
            case 4:
                there = chance.randrange(table_bytes)
                mutant[at:at] = whole[there : there + chance.randrange(1, 64)]
            case 5:
                del mutant[chance.randrange(len(mutant)) :]
        yield bytes(mutant)


MODELS: dict[str, dict[str, Any]] = {
    "llama": {"layer_types": ("q4_1", "f16"), "window": 8, "windowed": (True, False)},
    "llama with rope factors": {"layer_types": ("q4_0", "bf16"), "rope_factors": (1.0,) * 16},
    "qwen2": {"layer_types": ("q4_0", "q8_0"), "architecture": "qwen2"},
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, tiny_gguf: Callable[..., Path]) -> Path:
    return tiny_gguf(**MODELS[request.param])


@pytest.fixture
def write_mutants(model: Path, tmp_path: Path) -> Callable[[int], Iterator[Path]]:
    """``write_mutants(seed)`` writes one mutant after the other, all to the same path."""
    table_bytes = min(tensor.origin.offset for tensor in frontend.open(model).tensors.values())

    def write(seed: int) -> Iterator[Path]:
        path = tmp_path / "mutant.gguf"
        for mutant in islice(mutants(model.read_bytes(), table_bytes, seed), NUM_MUTANTS):
            path.write_bytes(mutant)
            yield path

    return write


def test_mutants_open_or_are_refused_with_file_field_and_offset(write_mutants):
    refusals = []
    for path in write_mutants(seed=1):
        refusal = within_bounds(path, frontend.open)
        if refusal:
            assert refusal.path == path
            assert refusal.field
            assert refusal.offset is not None
            refusals.append(refusal)
    assert len(refusals) > NUM_MUTANTS // 4  # else the mutants are too tame to show anything
    assert len({refusal.field for refusal in refusals}) > 50


def test_what_opens_builds_or_is_refused_with_file_and_field(write_mutants):
    """An offset too, but where something is missing."""

    def build(path: Path) -> None:
        source = frontend.open(path)
        frontend.tokenizer(source)
        frontend.build(source)

    for path in write_mutants(seed=2):
        refusal = within_bounds(path, build)
        if refusal:
            assert refusal.path == path
            assert refusal.field
            assert refusal.offset is not None or "is missing" in str(refusal)


def within_bounds(path: Path, action: Callable[[Path], object]) -> ModelFileError | None:
    """The refusal, if any; time and memory are bounded either way."""
    start = time.monotonic()
    tracemalloc.start()
    try:
        action(path)
    except ModelFileError as error:
        return error
    else:
        return None
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak <= (1 << 20) + 4 * path.stat().st_size
        assert time.monotonic() - start < MAX_SECONDS

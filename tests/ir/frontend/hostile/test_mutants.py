"""Mutated files: each is read, or refused with file, field and offset, quickly and cheaply.

As many as ``--mutants`` says, the same ones every time.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
SPARE = 1 << 20  # bytes: these files are small, so what they may cost is little
VALUE = re.compile(rb'(?<=[:,\[])\s*("(?:[^"\\]|\\.)*"|[^\s",\[\]{}]+)')
HOSTILE = (
    *(b"null", b"true", b"0", b"-1", b"1.5", b"1e999", b"18446744073709551616", b"9" * 5000),
    *(b'""', b'"' + b"x" * 5000 + b'"', b'"\\ud800"', b'"../../etc/passwd"', b"NaN"),
    *(b"[]", b"{}", b"[[[]]]", b'{"a": {"a": 1}}', b"[" * 2000, b"," * 100),
)

Mutate = Callable[[bytes, random.Random], bytes]
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD, PART = "model-00001-of-00002.safetensors", "tiny-00002-of-00004.gguf"


def flip(whole: bytes, chance: random.Random, end: int | None = None) -> bytes:
    """Other bits, other numbers, bytes more or fewer, before ``end``; or a cut anywhere."""
    mutant = bytearray(whole)
    at = chance.randrange(end or len(whole))
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
            there = chance.randrange(end or len(whole))
            mutant[at:at] = whole[there : there + chance.randrange(1, 64)]
        case 5:
            del mutant[chance.randrange(len(mutant)) :]
    return bytes(mutant)


def bend(whole: bytes, chance: random.Random) -> bytes:
    """JSON of which a value is another, or that is none any more."""
    if chance.randrange(4) == 0:
        return flip(whole, chance)
    value = chance.choice(list(VALUE.finditer(whole)))
    put = chance.choice([*HOSTILE, chance.choice(list(VALUE.finditer(whole)))[1]])
    return whole[: value.start(1)] + put + whole[value.end(1) :]


def bend_header(whole: bytes, chance: random.Random) -> bytes:
    """A safetensors file whose header lies, under its true length; or any other damage to it."""
    (length,) = struct.unpack_from("<Q", whole)
    damage = chance.randrange(8)
    if damage < 2:
        return flip(whole, chance, 8 + length if damage else None)
    header = bend(whole[8 : 8 + length], chance)
    return struct.pack("<Q", len(header)) + header + whole[8 + length :]


def flip_table(whole: bytes, chance: random.Random) -> bytes:
    """A GGUF file damaged before its tensors' bytes."""
    return flip(whole, chance, whole.rindex(b".weight") + 64)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model of which one file is mutated, and its share of the mutants."""

    share: float
    fields: dict[str, Any]  # of the tiny decoder
    mutate: Mutate
    file: str = ""  # of several; none: the model is one GGUF file
    method: str = ""  # by which one layer is quantised


WINDOWS = {"window": 8, "windowed": (True, False)}
SUBJECTS = {
    "GGUF": Subject(0.1, {"layer_types": ("q4_1", "f16"), **WINDOWS}, flip_table),
    "GGUF, rope factors": Subject(
        0.1, {"layer_types": ("q4_0", "bf16"), "rope_factors": (1.0,) * 16}, flip_table
    ),
    "GGUF, biases": Subject(
        0.1, {"layer_types": ("q5_0", "q8_0"), "architecture": "qwen2"}, flip_table
    ),
    "GGUF, second part": Subject(0.05, {"tensors_per_file": 6}, flip_table, PART),
    "safetensors": Subject(0.1, {}, bend_header, WHOLE),
    "shard": Subject(0.05, {"shards": 2}, bend_header, SHARD),
    "index": Subject(0.1, {"shards": 2}, bend, INDEX),
    "config": Subject(0.1, {}, bend, CONFIG),
    "config, windows": Subject(
        0.05,
        {
            "architecture": "qwen2",
            "config": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
        },
        bend,
        CONFIG,
    ),
    "tokenizer": Subject(0.05, {}, bend, TOKENIZER),
    "tokenizer's config": Subject(0.03, {}, bend, "tokenizer_config.json"),
    "generation": Subject(0.02, {}, bend, "generation_config.json"),
    **{
        f"{method}, {what}": Subject(0.15 / 8, {}, mutate, file, method)
        for method in ("gptq in another order", "awq", "fp8 of tiles", "compressed int4")
        for what, mutate, file in (("weights", bend_header, WHOLE), ("config", bend, CONFIG))
    },
}
LAYER = "model.layers.1.mlp.gate_proj"
WEIGHT = np.random.default_rng(3).normal(0, 0.3, (96, 64)).astype(np.float32)


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """Of all subjects together."""
    return int(request.config.getoption("--mutants"))


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return SUBJECTS[request.param]


@pytest.fixture
def model(subject: Subject, tiny_gguf, tiny_directory, quantisers) -> Path:
    """A sound one, which a test may damage."""
    fields = dict(subject.fields)
    if subject.method:
        method = quantisers.METHODS[subject.method]
        parts = method.quantise(WEIGHT).parts.items()
        fields["config"] = {"quantization_config": method.config}
        fields["tensors"] = {f"{LAYER}.weight": None} | {f"{LAYER}.{at}": x for at, x in parts}
    is_gguf = subject.mutate is flip_table
    path: Path = (tiny_gguf if is_gguf else tiny_directory)(**fields)
    return path


def mutants(subject: Subject, path: Path, count: int) -> Iterator[None]:
    """Put so many mutants into the model, one after the other, and the sound file at the end."""
    folder = path if path.is_dir() else path.parent
    file = folder / subject.file if subject.file else path
    whole, chance = file.read_bytes(), random.Random(1)
    for _ in range(count):
        file.write_bytes(subject.mutate(whole, chance))
        yield
    file.write_bytes(whole)


def test_mutants_are_read_or_refused_with_file_field_and_offset(subject, model, count, refuse):
    assert refuse(model) is None, "the model itself is sound"
    number = round(subject.share * count)
    refusals = [refuse(model, spare=SPARE) for _ in mutants(subject, model, number)]
    found = [refusal for refusal in refusals if refusal is not None]
    assert len(found) > number // 4, "the mutants are too tame to show anything"
    assert len({refusal.field for refusal in found}) > 1


def test_there_are_as_many_mutants_as_are_asked_for():
    assert sum(subject.share for subject in SUBJECTS.values()) == pytest.approx(1)

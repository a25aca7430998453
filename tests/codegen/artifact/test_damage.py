"""Damage to a file is found before any of it is used, and named by part, chunk and bytes."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferflux.codegen.artifact import ArtifactError, load, peek, save
from inferflux.codegen.artifact.compiled import CompiledModel
from inferflux.codegen.artifact.layout import HEADER_BYTES, MAGIC, place
from inferflux.codegen.artifact.manifest import read_manifest


def regions(encoded: bytes) -> Iterator[tuple[str, int, int]]:
    """Every stretch of an artifact: name, first byte, end."""
    yield "magic", 0, 8
    yield "version and reserved", 8, 16
    yield "manifest length", 16, 24
    yield "manifest digest and reserved", 24, HEADER_BYTES
    length = int.from_bytes(encoded[16:24], "little")
    end = HEADER_BYTES + length
    yield "manifest", HEADER_BYTES, end
    for placed in place(read_manifest(encoded[HEADER_BYTES:end]).parts, length):
        yield f"padding before {placed.part.name}", placed.offset - placed.padding, placed.offset
        yield placed.part.name, placed.offset, placed.end


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """What ``read`` says against the file; empty if nothing."""
    try:
        read(path)
    except ArtifactError as error:
        return str(error)
    return ""


def test_a_flipped_bit_anywhere_is_refused(saved: Path) -> None:
    sound = saved.read_bytes()
    dice = random.Random(7)
    places = [region for region in regions(sound) if region[1] < region[2]]
    assert sum(end - start for _, start, end in places) == len(sound), "no byte is unguarded"
    flips = [
        (name, start + offset) for name, start, end in places for offset in (0, end - start - 1)
    ]
    flips += [(n, dice.randrange(start, end)) for n, start, end in places for _ in range(8)]
    assert len(flips) > 200
    for name, offset in flips:
        mutant = bytearray(sound)
        mutant[offset] ^= 1 << dice.randrange(8)
        saved.write_bytes(mutant)
        assert refusal(load, saved), f"byte {offset}, of {name}, flipped unseen"


def test_a_file_cut_anywhere_is_refused(saved: Path) -> None:
    sound = saved.read_bytes()
    dice = random.Random(7)
    cuts = {0, 1, 7, 8, 63, 64, len(sound) - 1, *(start for _, start, _ in regions(sound))}
    for cut in sorted(cuts | {dice.randrange(len(sound)) for _ in range(60)}):
        saved.write_bytes(sound[:cut])
        assert "truncated" in refusal(load, saved) or cut < len(MAGIC), f"cut at {cut}"
        assert refusal(peek, saved), f"cut at {cut}"


def test_truncation_names_the_part_and_the_bytes(saved: Path) -> None:
    size = saved.stat().st_size
    os.truncate(saved, size - 1)
    with pytest.raises(
        ArtifactError, match=rf"tiny.ifx: truncated: part weights/bb22 .*{size}.* {size - 1};"
    ):
        peek(saved)


def test_bytes_after_the_last_part_are_refused(saved: Path) -> None:
    with saved.open("ab") as file:
        file.write(b"\0\0")
    with pytest.raises(ArtifactError, match="2 bytes follow the last part"):
        peek(saved)


def test_damage_names_segment_chunk_and_bytes(model: CompiledModel, tmp_path: Path) -> None:
    path = tmp_path / "big.ifx"
    save(dataclasses.replace(model, weights={**model.weights, "aa11": ones(9 << 20)}), path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size * 2 // 3)  # 5 MiB into the first segment
        file.write(b"\0")
    with pytest.raises(
        ArtifactError,
        match=r"part weights/aa11, chunk 1 \(its bytes 4194304\.\.8388608 of 9437184\)",
    ):
        load(path)
    peek(path)


def ones(length: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ones(length, np.uint8)


def test_another_schema_version_is_named_with_what_to_do(saved: Path) -> None:
    sound = saved.read_bytes()
    for version, advice in ((0, "compile the model again"), (3, "upgrade InferFlux")):
        saved.write_bytes(sound[:8] + version.to_bytes(4, "little") + sound[12:])
        with pytest.raises(
            ArtifactError, match=f"schema version {version} found, 2 supported: {advice}"
        ):
            load(saved)


@pytest.mark.parametrize("content", [b"", b"GGUF" + bytes(100), MAGIC, bytes(4096)])
def test_what_is_no_artifact_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ifx").write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        load(tmp_path / "x.ifx")
    assert caught.value.code == "invalid_artifact"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "pipe"):
        with pytest.raises(ArtifactError, match=str(path)):
            load(path)


def test_a_huge_manifest_is_refused_before_memory_is_taken(saved: Path) -> None:
    sound = saved.read_bytes()
    for length in (5 << 20, 2**63):
        saved.write_bytes(sound[:16] + length.to_bytes(8, "little") + sound[24:])
        with pytest.raises(ArtifactError, match="over 4194304"):
            load(saved)

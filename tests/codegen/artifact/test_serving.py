"""A start reads what serving needs, verified, and nothing else of the file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from inferflux.codegen.artifact import ArtifactError, load, load_target, load_text
from inferflux.codegen.artifact.sealed import SealedFile, open_sealed

HERE = frozenset({"x86_64", "avx512f", "avx512_vnni"})


@pytest.fixture
def parts_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that were read, in order."""
    names: list[str] = []
    read = SealedFile.read
    monkeypatch.setattr(SealedFile, "read", lambda *of: (names.append(of[1]), read(*of))[1])
    return names


def test_the_doors_get_the_facts_and_the_tokenizer(saved: Path, parts_read: list[str]) -> None:
    text = load_text(saved)
    assert parts_read == ["tokenizer"]
    whole = load(saved)
    assert (text.digest, text.facts) == (whole.digest, whole.model.facts)
    assert text.tokenizer == whole.model.tokenizer


def test_an_engine_gets_the_code_of_its_machine_and_the_weights(
    saved: Path, parts_read: list[str]
) -> None:
    served = load_target(saved, None, HERE)
    assert parts_read == ["object/cpu:avx512/x86_64/0", "object/cpu:avx512/x86_64/1"]
    whole = load(saved)
    target = whole.model.targets["cpu:avx512"]
    assert (served.digest, served.facts) == (whole.digest, whole.model.facts)
    assert served.target.objects == {"x86_64": target.objects["x86_64"]}
    assert (served.target.step, served.target.kv_groups) == (target.step, target.kv_groups)
    np.testing.assert_array_equal(served.weights, whole.model.weights[target.weights])


@pytest.mark.parametrize("part", ["tokenizer", "object/cpu:avx512/x86_64/1", "weights/aa11"])
def test_what_is_read_is_verified(saved: Path, part: str) -> None:
    with open_sealed(saved) as file:
        start = file.placed[part].offset
    damaged = bytearray(saved.read_bytes())
    damaged[start] ^= 1
    saved.write_bytes(damaged)
    read = load_text if part == "tokenizer" else partial(load_target, name=None, features=HERE)
    with pytest.raises(ArtifactError, match=f"part {part}, chunk 0"):
        read(saved)


def test_weights_that_were_verified_once_are_not_digested_again(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_target(saved, None, HERE, tmp_path / "verified")
    monkeypatch.setattr(SealedFile, "verify", lambda *_: pytest.fail("digested again"))
    load_target(saved, "cpu:portable", HERE, tmp_path / "verified")

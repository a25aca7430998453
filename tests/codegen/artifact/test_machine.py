"""A target runs where its machine and every feature it asks for are; the best such is chosen."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from inferflux.codegen.artifact import (
    Artifact,
    UnsupportedMachine,
    load,
    machine_features,
    require_target,
)

BIG_X86 = frozenset({"x86_64", "avx2", "avx512f", "avx512_vnni"})


@pytest.fixture
def artifact(saved: Path) -> Artifact:
    return load(saved)


def test_the_first_target_that_runs_is_chosen(artifact: Artifact) -> None:
    assert require_target(artifact, None, BIG_X86).name == "cpu:avx512"
    assert require_target(artifact, None, BIG_X86 - {"avx512_vnni"}).name == "cpu:portable"
    assert require_target(artifact, None, frozenset({"aarch64"})).name == "cpu:portable"


def test_a_named_target_is_given_or_refused_with_what_is_missing(artifact: Artifact) -> None:
    assert require_target(artifact, "cpu:portable", BIG_X86).name == "cpu:portable"
    with pytest.raises(
        UnsupportedMachine, match="target cpu:avx512 needs avx512f, avx512_vnni, which"
    ) as caught:
        require_target(artifact, "cpu:avx512", frozenset({"x86_64", "avx2"}))
    assert caught.value.code == "unsupported_machine"


def test_an_unknown_target_is_refused_with_those_there_are(artifact: Artifact) -> None:
    with pytest.raises(UnsupportedMachine, match=r"no target cuda:sm_90; .* cpu:avx512, cpu:port"):
        require_target(artifact, "cuda:sm_90", BIG_X86)


def test_a_foreign_machine_is_refused(artifact: Artifact) -> None:
    with pytest.raises(
        UnsupportedMachine, match=r"no target runs here: cpu:avx512 is code for aarch64, x86_64"
    ):
        require_target(artifact, None, frozenset({"riscv64", "avx512f"}))


def test_features_are_those_every_processor_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nvmx flags\t: ept\nflags\t\t: fpu avx2 avx512f\n\n"
        "processor\t: 1\nflags\t\t: fpu avx2\n"
    )
    assert machine_features(cpuinfo) == {"x86_64", "fpu", "avx2"}


def test_arm_spells_its_features_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    (tmp_path / "cpuinfo").write_text("Features\t: fp asimd asimddp\n")
    assert machine_features(tmp_path / "cpuinfo") == {"aarch64", "fp", "asimd", "asimddp"}


def test_without_cpuinfo_the_name_of_the_machine_says_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert machine_features(tmp_path / "absent") == {"aarch64", "fp", "asimd"}


def test_this_machine_is_known_by_name() -> None:
    assert platform.machine() in machine_features() | {"arm64", "AMD64"}

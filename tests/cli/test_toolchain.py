"""The toolchain as a key factor: it changes when what it names does, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.cli import toolchain as module
from inferflux.cli.toolchain import toolchain


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "kernel.py").write_text("a = 1\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "step.j2").write_text("{{ a }}\n")
    monkeypatch.setattr(module, "_folder", lambda package: tmp_path)
    return tmp_path


def test_it_names_every_library_and_package() -> None:
    names = [line.partition(":")[0] for line in toolchain().splitlines()]
    assert names == sorted(names)
    assert {"apache-tvm", "numpy", "inferflux.ir", "inferflux.kernels"} <= set(names)


def test_an_edited_template_changes_it(folder: Path) -> None:
    before = toolchain()
    (folder / "deep" / "step.j2").write_text("{{ b }}\n")
    assert toolchain() != before


def test_text_that_moves_between_files_changes_it(folder: Path) -> None:
    before = toolchain()
    (folder / "deep" / "step.j2").rename(folder / "step.j2")
    assert toolchain() != before


def test_what_python_leaves_behind_does_not_change_it(folder: Path) -> None:
    before = toolchain()
    (folder / "kernel.cpython-311.pyc").write_bytes(b"\0")
    (folder / "notes.md").write_text("notes")
    assert toolchain() == before

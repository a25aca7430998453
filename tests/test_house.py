"""The rules of the house that a machine can check."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (
    "autotune_cache",
    "bench",
    "cli",
    "codegen",
    "engine",
    "inferflux",
    "ir",
    "kernels",
    "server",
    "text",
)
LONGEST_FILE = 400  # lines; past that a file holds two ideas
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")
VAGUE_NAMES = re.compile(r"(^|_)(utils?|helpers?|manager|misc|common)(_|$)")
BANNED = {
    "a TODO without the number of its issue": re.compile(r"\b(TODO(?!\(#\d+\))|FIXME|XXX)\b"),
    "a path of somebody's machine": re.compile(r"(?<![\w.}/])/(home|root|Users|tmp)/\w"),
    "a section banner: split the file": re.compile(r"^\s*#\s?[-=#*]{5,}", re.MULTILINE),
}


def sources() -> Iterator[Path]:
    for folder in (*FOLDERS, "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not GENERATED.search(path.name):
                yield path


def project() -> dict[str, object]:
    loaded: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return loaded


def test_imports_go_one_way(tmp_path: Path) -> None:
    package = tmp_path / "inferflux"  # what reads files sees the package only as a farm of links
    package.mkdir()
    for path in (ROOT / "inferflux").glob("*.py"):
        (package / path.name).symlink_to(path)
    for folder in set(FOLDERS) - {"inferflux"}:
        (package / folder).symlink_to(ROOT / folder)
    lint = Path(sys.executable).with_name("lint-imports")
    command = [lint, "--no-logo", "--no-cache", "--config", ROOT / "pyproject.toml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Analyzed 0 files" not in ran.stdout


def test_the_package_map_lists_every_package() -> None:
    settings = project()["tool"]["setuptools"]  # type: ignore[index]
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    mapped = {"inferflux" if name == "inferflux" else f"inferflux.{name}" for name in found}
    assert set(settings["packages"]) == mapped
    folders = {name: name.removeprefix("inferflux.") for name in mapped if name.count(".") < 2}
    assert settings["package-dir"] == folders


def test_every_folder_of_python_is_a_package() -> None:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


@pytest.mark.parametrize("sin", BANNED)
def test_no_source_has(sin: str) -> None:
    guilty = [
        f"{path.relative_to(ROOT)}: {match[0]!r}"
        for path in sources()
        if ROOT / "tests" not in path.parents  # tests make up homes and banned words
        for match in BANNED[sin].finditer(path.read_text())
    ]
    assert guilty == []


def test_no_file_has_a_vague_name() -> None:
    assert [path for path in sources() if VAGUE_NAMES.search(path.stem)] == []


def test_no_file_holds_two_ideas() -> None:
    long = {path: len(path.read_text().splitlines()) for path in sources()}
    assert {path: lines for path, lines in long.items() if lines > LONGEST_FILE} == {}


def test_every_module_says_in_one_sentence_what_it_is() -> None:
    for path in sources():
        text = path.read_text()
        assert not text or text.startswith('"""'), f"{path} has no docstring"


def test_variables_of_the_environment_are_read_in_one_file() -> None:
    reading = {path for path in sources() if re.search(r"[\"']INFERFLUX_", path.read_text())}
    code = {path.relative_to(ROOT).as_posix() for path in reading if "tests" not in path.parts}
    assert code <= {"cli/environment.py"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_first_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []

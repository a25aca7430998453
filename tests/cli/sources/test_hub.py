"""`hf:` against a hub on loopback: the real client package, our download."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest

from inferflux.cli import store
from inferflux.cli.sources.hub import HubSource
from inferflux.cli.sources.source import PullFailed, PullInterrupted
from inferflux.errors import MissingPackages

COMMIT, NEXT = "a" * 40, "b" * 40
REPOSITORY = "org/Tiny-GGUF"


class Hub:
    """A fake hub with one repository."""

    def __init__(self, loopback) -> None:
        self._loopback = loopback

    def has(self, files: dict[str, bytes], commit: str = COMMIT, large: str = ".gguf") -> None:
        """Files whose names end in ``large`` are kept outside of git, as the hub does."""
        siblings = [self._sibling(name, data, large) for name, data in files.items()]
        self.says({"id": REPOSITORY, "sha": commit, "siblings": siblings})
        for name, content in files.items():
            self.serves(name, self._loopback.file(content, f'"{name}"'), commit=commit)

    def says(self, facts: dict[str, object]) -> None:
        answer = self._loopback.announced(body := json.dumps(facts).encode(), len(body))
        for path in ("", "/revision/main", "/revision/v1"):
            self._loopback.on(f"/api/models/{REPOSITORY}{path}", answer)

    def serves(self, name: str, *answers, commit: str = COMMIT) -> None:
        self._loopback.on(f"/{REPOSITORY}/resolve/{commit}/{name}", *answers)

    def fetched(self) -> list[str]:
        return [path.rpartition("/")[2] for path, _ in self._loopback.asked if "/resolve/" in path]

    def _sibling(self, name: str, content: bytes, large: str) -> dict[str, object]:
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        facts = {"rfilename": name, "size": len(content), "blobId": git}
        if name.endswith(large):
            digest = hashlib.sha256(content).hexdigest()
            facts["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        return facts


@pytest.fixture
def hub(loopback, cache, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Hub:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", loopback.url)
    template = loopback.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Hub(loopback)


@pytest.fixture
def pull(hasty):
    def pull(source: str, **options: str) -> store.StoredModel:
        return store.pull(source, lambda *_: None, policy=hasty, **options)

    return pull


def test_the_one_gguf_of_a_repository_is_pulled_at_a_commit(hub: Hub, pull):
    hub.has({"m.Q4_0.gguf": b"GGUF weights", "README.md": b"#", "run.py": b"import os"})
    model = pull(f"hf:{REPOSITORY}")
    assert (model.name, model.revision) == ("tiny", COMMIT)
    assert model.source == f"hf:{REPOSITORY}"
    assert model.path.read_bytes() == b"GGUF weights"
    assert hub.fetched() == ["m.Q4_0.gguf"]


def test_of_several_none_is_guessed(hub: Hub, pull):
    hub.has({"a.gguf": b"GGUF a", "b.gguf": b"GGUF b"})
    with pytest.raises(PullFailed, match=r"has 2 GGUF models; name one of them: a.gguf, b.gguf"):
        pull(f"hf:{REPOSITORY}")
    model = pull(f"hf:{REPOSITORY}/b.gguf@v1")
    assert (model.name, model.source) == ("b", f"hf:{REPOSITORY}/b.gguf@v1")
    assert hub.fetched() == ["b.gguf"]


def test_a_split_gguf_of_a_folder_comes_with_all_parts(hub: Hub, pull):
    parts = {f"Q8/m-0000{n}-of-00002.gguf": b"GGUF %d" % n for n in (1, 2)}
    hub.has({**parts, "m.gguf": b"GGUF"})
    model = pull(f"hf:{REPOSITORY}/Q8/m-00001-of-00002.gguf")
    assert [file.name for file in model.files] == [name[3:] for name in parts]


def test_safetensors_come_without_code_and_pickles(hub: Hub, pull):
    weights = (2).to_bytes(8, "little") + b"{}"
    hub.has(
        {
            "config.json": b"{}",
            "model.safetensors": weights,
            "tokenizer.json": b"{}",
            "modeling.py": b"import os",
            "pytorch_model.bin": b"\x80",
        },
        large=".safetensors",
    )
    model = pull(f"hf:{REPOSITORY}")
    assert model.path.is_dir()
    assert sorted(hub.fetched()) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_the_same_commit_is_not_fetched_again_and_the_next_only_where_it_differs(hub: Hub, pull):
    weights = (2).to_bytes(8, "little") + b"{}"
    files = {"config.json": b"{}", "model.safetensors": weights}
    hub.has(files, large=".safetensors")
    assert pull(f"hf:{REPOSITORY}") == pull(f"hf:{REPOSITORY}")
    assert len(hub.fetched()) == 2
    hub.has({**files, "config.json": b'{"a": 1}'}, commit=NEXT, large=".safetensors")
    model = pull(f"hf:{REPOSITORY}")
    assert model.revision == NEXT
    assert (model.path / "config.json").read_bytes() == b'{"a": 1}'
    assert hub.fetched()[2:] == ["config.json"]


def test_a_pull_that_broke_off_goes_on(hub: Hub, pull, loopback):
    content = b"GGUF" + bytes(5000)
    hub.has({"m.gguf": content})
    hub.serves("m.gguf", loopback.broken(content, 3000), loopback.status(503))
    with pytest.raises(PullInterrupted):
        pull(f"hf:{REPOSITORY}")
    hub.serves("m.gguf", loopback.file(content))
    assert pull(f"hf:{REPOSITORY}").path.read_bytes() == content
    assert loopback.ranges()[-1] == "bytes=3000-"


@pytest.mark.parametrize("large", [".gguf", ".none"])
def test_wrong_bytes_leave_nothing_behind(hub: Hub, pull, loopback, cache, large: str):
    hub.has({"m.gguf": b"GGUF right"}, large=large)
    hub.serves("m.gguf", loopback.file(b"GGUF wrong"))
    with pytest.raises(PullFailed, match=r"m.gguf (came with sha256|is not the file)"):
        pull(f"hf:{REPOSITORY}")
    assert [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_repository_that_is_not_there_is_named(hub: Hub, pull):
    with pytest.raises(PullFailed, match=r"hf:org/none: .*404"):
        pull("hf:org/none")


def test_a_hub_that_is_down_is_said(hub: Hub, pull, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(PullFailed, match="hf:org/none"):
        pull("hf:org/none")


def test_without_the_package_the_command_that_installs_it_is_said(
    hub: Hub, pull, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackages, match=r"pip install 'inferflux\[hub\]'"):
        pull(f"hf:{REPOSITORY}")


@pytest.mark.parametrize("text", ["", "org", "org/", "/repo", "a/b@", "a/b/", "a b/c", "a/b/c@d@e"])
def test_what_is_no_repository_is_refused(text: str, hasty):
    with pytest.raises(PullFailed, match=r"is no model; write hf:ORG/REPO\[/FILE\]\[@REVISION\]"):
        HubSource.parse(text, hasty)

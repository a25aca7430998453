"""Records: what the store knows of a model, and the links from its names to its files."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from inferflux.cli.store import layout
from inferflux.codegen.artifact.atomic import replacing

RECORD: Final = ".model.json"  # a dot: no file of a model is called so
FORMAT: Final = 1
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a model."""

    name: str
    nbytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model in the store."""

    name: str
    source: str  # as it is written after `inferctl pull`, without secrets
    revision: str  # commit, version or entity tag; empty: the source has none
    files: tuple[StoredFile, ...]

    @property
    def path(self) -> Path:
        """What is opened: the first part of a GGUF, else the folder."""
        folder, first = layout.folder_of(self.name), self.files[0].name
        return folder / first if first.endswith(".gguf") else folder

    @property
    def nbytes(self) -> int:
        return sum(file.nbytes for file in self.files)

    @property
    def digest(self) -> str:
        return model_digest(self.files)

    @property
    def is_whole(self) -> bool:
        """Whether every file is there, in its size."""
        return all(_has_size(layout.folder_of(self.name) / f.name, f.nbytes) for f in self.files)


def model_digest(files: Sequence[StoredFile]) -> str:
    """Hex sha256 of a model's only file, or of the list that `sha256sum` makes of several."""
    if len(files) == 1:
        return files[0].sha256
    lines = (f"{file.sha256}  {file.name}\n" for file in sorted(files, key=lambda f: f.name))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def models() -> list[StoredModel]:
    """What is in the store, by name; what is not whole is as good as absent."""
    return [model for model in recorded() if model.is_whole]


def recorded() -> Iterator[StoredModel]:
    """Every model that has a record, whole or not."""
    for path in sorted(layout.root().glob(f"*/{RECORD}")):
        model = _read(path)
        if model is not None:
            yield model


def find(name: str) -> StoredModel | None:
    """The model of a name, if it has a record."""
    return _read(layout.folder_of(name) / RECORD)


def write(model: StoredModel) -> None:
    """Link a model's files, whose blobs are there, and record it; the store's lock is held."""
    folder = layout.folder_of(model.name)
    folder.mkdir(parents=True, exist_ok=True)
    for file in model.files:
        _link(folder / file.name, layout.blob(file.sha256))
    content = {"format": FORMAT, "digest": model.digest, **asdict(model)}
    with replacing(folder / RECORD) as record:
        record.write(json.dumps(content, indent=1).encode())
    named = {file.name for file in model.files} | {RECORD}
    for path in folder.iterdir():
        if path.name not in named:
            path.unlink()


def _link(path: Path, blob: Path) -> None:
    """A relative link, so that the cache may be moved; it replaces what is there."""
    beside = path.with_name(f".{secrets.token_hex(8)}.link")
    beside.symlink_to(Path("..") / blob.parent.name / blob.name)
    beside.replace(path)


def _has_size(path: Path, nbytes: int) -> bool:
    try:
        return path.stat().st_size == nbytes
    except OSError:
        return False


def _read(path: Path) -> StoredModel | None:
    """The record at ``path``; None if it is absent, or damaged: then the model is pulled again."""
    try:
        loaded: Any = json.loads(path.read_bytes())
        if loaded["format"] != FORMAT:
            return None
        files = tuple(_file(facts) for facts in loaded["files"])
        if not files:
            return None
        return StoredModel(path.parent.name, str(loaded["source"]), str(loaded["revision"]), files)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(facts: Any) -> StoredFile:
    """A file of a record; its name and its digest become parts of paths."""
    digest = str(facts["sha256"])
    if _SHA256.fullmatch(digest) is None:
        raise ValueError(f"{digest!r} is no sha256")
    return StoredFile(Path(str(facts["name"])).name, int(facts["nbytes"]), digest)

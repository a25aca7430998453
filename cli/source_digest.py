"""sha256 of a model file, remembered until the file changes: a start does not hash it again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from inferflux.codegen.artifact.atomic import replacing


def source_digest(path: Path, records: Path) -> str:
    """Hex sha256 of ``path``; ``records`` is the folder that remembers digests by file identity."""
    path = path.resolve()
    identity = _identity(path)
    record = records / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    remembered = _read(record)
    if remembered.get("identity") == identity and isinstance(remembered.get("sha256"), str):
        return str(remembered["sha256"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _identity(path) == identity:  # a file that changed under the hash is not remembered
        _write(record, {"identity": identity, "sha256": digest})
    return digest


def _identity(path: Path) -> list[str | int]:
    """What changes whenever the contents do, short of someone setting the clock back."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev]


def _write(record: Path, remembered: dict[str, object]) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    with replacing(record) as file:
        file.write(json.dumps(remembered).encode())


def _read(record: Path) -> dict[str, object]:
    """The record, or nothing if it is absent or damaged: hashing again is always right."""
    try:
        loaded = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}

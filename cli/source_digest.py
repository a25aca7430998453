"""sha256 of a model file, remembered until the file changes: a start does not hash it again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Sequence
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


def remember_together(paths: Sequence[Path], digest: str, records: Path) -> None:
    """Remember which files have this digest as one model, so that it is known while they live."""
    record = records / f"{digest[:32]}.json"
    together: dict[str, object] = {
        "identities": [_identity(path.resolve()) for path in paths],
        "sha256": digest,
    }
    if _read(record) != together:
        _write(record, together)


def live_digests(records: Path, doomed: Container[Path]) -> set[str]:
    """The digests of files and models that are still what was hashed, and are not ``doomed``."""
    remembered = [_read(record) for record in records.glob("*.json")]
    return {str(each.get("sha256")) for each in remembered if _is_live(each, doomed)}


def _is_live(remembered: dict[str, object], doomed: Container[Path]) -> bool:
    identities = remembered.get("identities", [remembered.get("identity")])
    return isinstance(identities, list) and all(_is_same(each, doomed) for each in identities)


def _is_same(identity: object, doomed: Container[Path]) -> bool:
    if not isinstance(identity, list) or not identity:
        return False
    path = Path(str(identity[0]))
    return path.is_file() and path not in doomed and _identity(path) == identity


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

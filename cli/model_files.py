"""The files of a model, the one that was named or all parts of it, and the digest of all."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from inferflux.cli.source_digest import source_digest

_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")


def model_files(path: Path) -> list[Path]:
    """The files that are there; which parts a model lacks is for its reader to say."""
    match = _PART.fullmatch(path.name)
    if match is None:
        return [path]
    part = re.compile(rf"{re.escape(match['stem'])}-\d{{5}}-of-{match['count']}\.gguf")
    return sorted(each for each in path.parent.iterdir() if part.fullmatch(each.name))


def model_digest(path: Path, records: Path) -> str:
    """As ``ModelSource.digest``, of digests that ``records`` remembers."""
    files = model_files(path)
    if len(files) == 1:
        return source_digest(files[0], records)
    lines = (f"{source_digest(file, records)}  {file.name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()

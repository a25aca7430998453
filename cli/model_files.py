"""The files that a model is read from, and the digest of all."""

from __future__ import annotations

import re
from pathlib import Path

from inferflux.cli.source_digest import remember_together, source_digest

_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")


def model_files(path: Path) -> list[Path]:
    """The one that was named, all parts of it, or those of a directory that are read.

    Of a GGUF in parts those that are there: which it lacks is for its reader to say.
    """
    if path.is_dir():
        from inferflux.ir.frontend.huggingface.directory import read_directory  # takes 0.1 s

        return list(read_directory(path).files)
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
    from inferflux.ir.frontend.source import digest_of_files

    digest = digest_of_files({file.name: source_digest(file, records) for file in files})
    remember_together(files, digest, records)
    return digest

"""A file that is being fetched: its bytes so far, their digest, and what they begin."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from inferflux.cli.sources.source import DiskFull, FetchedFile, file_digest
from inferflux.codegen.artifact.atomic import replacing

_CHUNK: Final = 1 << 20
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a partial file is the beginning of; another origin, and its bytes are worth nothing."""

    url: str  # its sha256, for a URL may hold keys
    validator: str  # strong entity tag, or date of the last change; empty: cannot be resumed
    length: int

    def can_go_on(self, url: str) -> bool:
        """Whether the rest can be asked for at ``url``."""
        return bool(self.validator) and self.url == identity_of(url)


def identity_of(url: str) -> str:
    """What is recorded of a URL, and compared."""
    return hashlib.sha256(url.encode()).hexdigest()


class Partial:
    """A file below ``place`` until it is whole.  A context: the file is open inside."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._facts = place.with_name(f".{place.name}.json")
        self._file = place.with_name(f".{place.name}.partial").open("ab+", buffering=0)
        self.origin = _read(self._facts)
        self.size = 0
        self._digest = hashlib.sha256()
        self._take_up()

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finished(self) -> FetchedFile | None:
        """The file, if an earlier pull made it whole and another of the model's broke off."""
        if self.origin is None or self.size or not self.place.is_file():
            return None
        return FetchedFile(self.place, self.place.stat().st_size, file_digest(self.place))

    def drop(self) -> None:
        """Forget what is there: it cannot be gone on with."""
        self._file.truncate(0)
        self.origin, self.size, self._digest = None, 0, hashlib.sha256()

    def restart(self, origin: Origin) -> None:
        """Drop what is there and begin with the first byte of ``origin``."""
        self.drop()
        self.origin = origin
        with replacing(self._facts) as file:
            file.write(json.dumps(asdict(origin)).encode())

    def require_room(self, nbytes: int) -> None:
        """Refuse before the first byte what would not fit."""
        free = shutil.disk_usage(self.place.parent).free
        if nbytes > free:
            raise DiskFull(
                f"{self.place.name} takes {nbytes} bytes more and {self.place.parent} "
                f"has {free}; free some, or set INFERFLUX_CACHE to a larger disk"
            )

    def append(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise DiskFull(
                f"{self.place.name}: {self.place.parent} is full after {self.size} bytes "
                f"({error.strerror}); free some and pull again, it goes on from there"
            ) from error
        self._digest.update(chunk)
        self.size += len(chunk)

    def finish(self) -> FetchedFile:
        """Give the file its name; it must be whole."""
        os.fsync(self._file.fileno())
        Path(self._file.name).replace(self.place)
        return FetchedFile(self.place, self.size, self._digest.hexdigest())

    def _take_up(self) -> None:
        """Read what an earlier pull left; more than its origin has is worth nothing."""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._digest.update(chunk)
            self.size += len(chunk)
        if self.origin is None or self.size > self.origin.length:
            self.drop()


def _read(facts: Path) -> Origin | None:
    """What was recorded, or None if it is absent or damaged: beginning again is always right."""
    try:
        loaded = json.loads(facts.read_bytes())
        origin = Origin(str(loaded["url"]), str(loaded["validator"]), int(loaded["length"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return origin

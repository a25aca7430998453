"""What every source of models can do, and the errors it ends with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inferflux.errors import InferFluxError

Progress = Callable[[str, float], None]  # what is being done, and how much of it is


class PullFailed(InferFluxError):
    """A model could not be fetched, or what came is not what was asked for."""

    code = "pull_failed"


class WrongContent(PullFailed):
    """What came is whole and is not what was asked for; nothing of it is kept."""

    code = "wrong_content"


class DiskFull(PullFailed):
    """There is no room for a model; what came before it was noticed is kept for the next pull."""

    code = "disk_full"


class PullInterrupted(PullFailed):
    """A connection was lost more often than is tolerated; the next pull goes on from there."""

    code = "pull_interrupted"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a download is tried again."""

    attempts: int = 5  # that bring next to nothing, one after the other
    first_wait: float = 0.5  # seconds; doubled for each further one
    timeout: float = 30.0  # seconds without a byte
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, asked: float) -> None:
        """Sleep before another attempt, as long as the server asked or longer."""
        self.sleep(max(asked, self.first_wait * 2 ** (attempt - 1)))


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that is whole and of which every byte was seen."""

    path: Path  # in the folder of the pull; its name is the one it is kept by
    nbytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files of a model, and what the source calls this state of them."""

    revision: str  # a commit, a version, an entity tag; empty where a source has none
    files: tuple[FetchedFile, ...]


class Shelf(Protocol):
    """The folder of one pull, beside the files that the store has already."""

    @property
    def folder(self) -> Path: ...

    def take(self, name: str, sha256: str) -> FetchedFile | None:
        """Put a file of this digest there under ``name`` if the store has one."""


class Source(Protocol):
    """A place that has a model."""

    @property
    def spelled(self) -> str:
        """The source as it is recorded: no secret, and equal for equal sources."""

    @property
    def suggested_name(self) -> str:
        """What to call the model where the user does not say."""

    def fetch(self, shelf: Shelf, kept: str | None, progress: Progress) -> Fetched | None:
        """Fetch the model's files, going on from what an earlier pull left on the shelf.

        ``kept`` is the revision the store has; gives None if the source has no other.
        """


def file_digest(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

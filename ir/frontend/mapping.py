"""A file mapped read-only: nothing of it is read before it is needed, nothing is ever written."""

from __future__ import annotations

import mmap
from pathlib import Path

from inferflux.ir.frontend.source import ModelFileError


def map_file(path: Path, error: type[ModelFileError] = ModelFileError) -> mmap.mmap:
    """Map all of ``path``.  Raises ``error`` unless it is a regular file that has bytes."""
    try:
        if not path.is_file():  # opening a pipe would wait for its writer
            raise error(path, "file", None, "does not exist or is not a regular file")
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise error(path, "file", 0, "is empty") from None
    except OSError as failure:
        raise error(path, "file", None, f"cannot be read: {failure.strerror}") from failure

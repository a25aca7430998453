"""A lock file: of several processes that want the same work done, one does it."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock file ``path``; ``on_wait`` is called once if another process holds it.

    Gives whether it had to wait.  The kernel drops the lock with its process, so a crash leaves
    nothing to clean up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        free = _try(file)
        if not free:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield not free


@contextmanager
def if_free(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` unless another process does; gives whether it is held here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield _try(file)


def _try(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

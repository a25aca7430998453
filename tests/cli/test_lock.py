"""Locks between processes."""

from __future__ import annotations

import threading
from pathlib import Path

from inferflux.cli.lock import exclusive, if_free


def test_the_second_is_told_to_wait_and_goes_in_when_the_first_leaves(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "a.lock"
    waiting, entered = threading.Event(), threading.Event()

    def second() -> None:  # a lock belongs to an open file, so a thread stands for a process
        with exclusive(lock, waiting.set):
            entered.set()

    with exclusive(lock, lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    assert entered.wait(10)
    thread.join()


def test_a_free_lock_is_not_waited_for(tmp_path: Path) -> None:
    waits: list[str] = []
    for _ in range(2):
        with exclusive(tmp_path / "a.lock", lambda: waits.append("waited")):
            pass
    assert waits == []


def test_who_would_not_wait_hears_whether_it_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    with exclusive(lock, lambda: None) as waited, if_free(lock) as free:
        assert (waited, free) == (False, False)
    with if_free(lock) as free:
        assert free
